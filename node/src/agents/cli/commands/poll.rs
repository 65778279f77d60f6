//! `here poll`: a POLLER, which fetches regularly and has no SUBSCRIPTION.

use std::time::Duration;

use anyhow::Result;
use jiff::Zoned;

use super::watch::{differs, print_state};
use crate::{
    agents::cli::{Context, arguments::PollArguments, exit::Exit},
    local_api::{
        client::{Client, ClientError},
        errors::ErrorCode,
    },
};

pub(in crate::agents::cli) async fn run(context: &Context, arguments: &PollArguments) -> Result<Exit> {
    let wishes = context.interrupt.listen()?;
    let client = context.client()?;
    let now = Zoned::now();
    let period = arguments.every.end(&now)?.duration_since(now.timestamp()).unsigned_abs();
    let id = client.presentity(&arguments.who).await?.id;
    tokio::select! {
        ended = poll(context, &client, &id, period) => ended.map(|()| Exit::Done),
        () = wishes.to_end() => Ok(Exit::Done),
        () = context.output.closed() => Ok(Exit::Done),
    }
}

async fn poll(context: &Context, client: &Client, id: &str, period: Duration) -> Result<()> {
    let mut shown = None;
    loop {
        match client.fetch(id).await {
            Ok(fetched) => {
                let presentity = fetched.presentity;
                if shown.as_ref().is_none_or(|shown| differs(&presentity, shown)) {
                    print_state(context, &presentity)?;
                }
                shown = Some(presentity);
            }
            // Their node says when it answers again, which is within the next period or so.
            Err(ClientError::Refused(error)) if error.code == ErrorCode::TooFast => {
                context.output.notice(&error.message);
            }
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(period).await;
    }
}
