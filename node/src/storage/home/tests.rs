use super::*;

fn closed_directory() -> tempfile::TempDir {
    tempfile::Builder::new().permissions(Permissions::from_mode(0o700)).tempdir().unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn the_default_is_in_the_state_directory() {
    let state = match std::env::var_os("XDG_STATE_HOME") {
        Some(path) if Path::new(&path).is_absolute() => PathBuf::from(path),
        _ => etcetera::home_dir().unwrap().join(".local/state"),
    };
    assert_eq!(Home::default_dir().unwrap(), state.join("hereabouts"));
}

#[test]
fn a_new_home_and_its_parents_are_closed_to_others() {
    let root = closed_directory();
    let directory = root.path().join("a/b");
    let home = Home::open(&directory).unwrap();
    assert_eq!(home.directory(), directory);
    for path in [root.path().join("a"), directory.clone()] {
        assert_eq!(mode(&path), 0o700, "{}", path.display());
    }
    home.key().unwrap();
    for name in ["lock", "identity.key"] {
        assert_eq!(mode(&directory.join(name)), 0o600, "{name}");
    }
}

#[test]
fn a_home_that_is_open_to_others_is_refused_with_the_command_that_closes_it() {
    let root = closed_directory();
    for loose in [0o755, 0o710, 0o701] {
        set_mode(root.path(), loose);
        let error = Home::open(root.path()).unwrap_err();
        assert!(matches!(error, HomeError::Exposed { .. }), "{error}");
        assert!(error.to_string().contains(&format!("chmod 700 '{}'", root.path().display())), "{error}");
        assert_eq!(mode(root.path()), loose, "the mode was not touched");
    }
    set_mode(root.path(), 0o700);
    Home::open(root.path()).unwrap();
}

#[test]
fn a_second_node_is_told_which_process_has_the_home() {
    let root = closed_directory();
    let first = Home::open(root.path()).unwrap();
    let error = Home::open(root.path()).unwrap_err();
    assert!(
        matches!(error, HomeError::AlreadyRunning { pid: Some(pid), .. } if pid == process::id()),
        "{error}"
    );
    assert!(error.to_string().contains("here down"), "{error}");
    drop(first);
    Home::open(root.path()).unwrap();
}

#[test]
fn what_an_earlier_process_left_in_the_lock_does_not_matter() {
    let root = closed_directory();
    fs::write(root.path().join("lock"), "4194304 and a longer text than a process id").unwrap();
    let _home = Home::open(root.path()).unwrap();
    assert_eq!(fs::read_to_string(root.path().join("lock")).unwrap(), format!("{}\n", process::id()));
}

#[test]
fn the_key_is_made_once_and_then_stays() {
    let root = closed_directory();
    let home = Home::open(root.path()).unwrap();
    let made = home.key().unwrap();
    assert_eq!(home.key().unwrap().public(), made.public());
    let file = fs::read(root.path().join("identity.key")).unwrap();
    assert_eq!(file, made.to_protobuf_encoding().unwrap());
    let mut names: Vec<_> =
        fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["identity.key", "lock"], "no temporary file stays");
}

#[test]
fn an_unusable_key_is_refused_and_left_as_it_is() {
    let root = closed_directory();
    let home = Home::open(root.path()).unwrap();
    let path = root.path().join("identity.key");
    let good = Keypair::generate_ed25519().to_protobuf_encoding().unwrap();
    let mut with_more = good.clone();
    with_more.push(0);
    for bad in [Vec::new(), b"garbage".to_vec(), good[..67].to_vec(), with_more, vec![0; 100_000]] {
        fs::write(&path, &bad).unwrap();
        set_mode(&path, 0o600);
        let error = home.key().unwrap_err();
        assert!(matches!(error, KeyError::Unusable { .. }), "{error}");
        assert_eq!(fs::read(&path).unwrap(), bad);
    }
}

#[test]
fn a_key_that_others_can_read_is_refused_with_the_command_that_closes_it() {
    let root = closed_directory();
    let home = Home::open(root.path()).unwrap();
    home.key().unwrap();
    let path = root.path().join("identity.key");
    set_mode(&path, 0o640);
    let error = home.key().unwrap_err();
    assert!(matches!(error, KeyError::Exposed { .. }), "{error}");
    assert!(error.to_string().contains(&format!("chmod 600 '{}'", path.display())), "{error}");
}

#[test]
fn a_store_without_its_key_does_not_get_another() {
    let root = closed_directory();
    let home = Home::open(root.path()).unwrap();
    fs::write(home.database_path(), "").unwrap();
    let error = home.key().unwrap_err();
    assert!(matches!(error, KeyError::Missing { .. }), "{error}");
    assert!(!root.path().join("identity.key").exists());
}

#[test]
fn a_home_too_deep_for_a_socket_is_refused_before_it_is_made() {
    let root = closed_directory();
    let deep = |bytes: usize| {
        let name = "d".repeat(bytes - root.path().as_os_str().len() - "//here.sock".len());
        root.path().join(name)
    };
    let fits = deep(SOCKET_PATH_BYTES_MAX);
    let home = Home::open(&fits).unwrap();
    assert_eq!(home.socket_path().as_os_str().len(), 107);
    std::os::unix::net::UnixListener::bind(home.socket_path()).unwrap();

    let too_deep = deep(SOCKET_PATH_BYTES_MAX + 1);
    let error = Home::open(&too_deep).unwrap_err();
    assert!(matches!(error, HomeError::SocketPathTooLong { bytes: 108, .. }), "{error}");
    assert!(!too_deep.exists());
}

#[test]
fn a_file_in_place_of_the_home_is_refused() {
    let root = closed_directory();
    let file = root.path().join("file");
    fs::write(&file, "precious").unwrap();
    assert!(matches!(Home::open(&file).unwrap_err(), HomeError::NotADirectory { .. }));
    assert!(matches!(Home::open(&file.join("below")).unwrap_err(), HomeError::NotMade { .. }));
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
}
