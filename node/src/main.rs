//! The program `here`: sets up the process and hands over to the command line.

use std::{env, process::ExitCode};

use hereabouts::agents::cli::{self, arguments::Arguments, exit::Exit, interrupt::Interrupt, output::Output};
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

fn main() -> ExitCode {
    let arguments = match cli::parse(env::args_os()) {
        Ok(arguments) => arguments,
        Err(exit) => return exit.into(),
    };
    let output = Output::standard(arguments.global.json);
    log_to_standard_error();
    let runtime = match runtime(&arguments) {
        Ok(runtime) => runtime,
        Err(error) => {
            output.notice(format!("the system gives no threads to run on: {error}"));
            return Exit::Failed.into();
        }
    };
    let exit = runtime.block_on(cli::run(arguments, output, Interrupt::Signals));
    // Whatever still runs, such as a read of standard input, has nobody left to serve.
    runtime.shutdown_background();
    exit.into()
}

/// A node has work for several cores; a command that asks one has not.
fn runtime(arguments: &Arguments) -> std::io::Result<tokio::runtime::Runtime> {
    let mut builder = if arguments.command.runs_nodes() {
        tokio::runtime::Builder::new_multi_thread()
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    builder.enable_all().build()
}

fn log_to_standard_error() {
    let directives = env::var("HERE_LOG").unwrap_or_else(|_| LOG_DEFAULT.to_owned());
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::WARN.into());
    tracing_subscriber::fmt()
        .with_env_filter(filter.parse_lossy(directives))
        .with_writer(std::io::stderr)
        .with_ansi(cli::output::standard_error_shows_colour())
        .init();
}

/// mDNS calls each packet that an interface does not take an error, as every new IPv6 address does for a
/// second or two. That it does not work at all is told as trouble of the node.
const LOG_DEFAULT: &str = "warn,libp2p_mdns=off";
