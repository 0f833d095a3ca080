//! Rules about the code that a machine can check: who may use whom, and what a file looks like.
//!
//! A rule that turns out wrong is changed here, in the open, with its reason.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// Who may depend on whom. A line that is missing here is a dependency that does not exist.
const MAY_USE: &[(&str, &[&str])] = &[
    ("shared", &[]),
    ("radius", &[]),
    ("ebpf", &[]),
    ("edge-agent", &["ebpf", "radius", "shared"]),
    ("controller", &["shared"]),
    // It works with the programs as a person does, from outside; its load generator speaks RADIUS.
    ("xtask", &["radius"]),
];

/// Names that say where nobody looked for a better one.
const JUNK: &[&str] = &["common.rs", "helpers.rs", "misc.rs", "util.rs", "utils.rs"];

const LINES_MAX: usize = 500;

/// What may be named only in certain places (a path starts or ends like this, or has this folder in
/// it), and why.
const ONLY_IN: &[(&str, &[&str], &str)] = &[
    (
        "sqlx::query",
        &["/store.rs", "/store/", "controller/src/db.rs", "xtask/src/sqlx.rs"],
        "SQL lives in `store.rs`, and below `store/`",
    ),
    (
        "axum::",
        &[
            "/http.rs",
            "/http/",
            "controller/src/app.rs",
            "controller/src/serve.rs",
            "edge-agent/src/metrics.rs",
        ],
        "HTTP lives in `http.rs`, and below `http/`",
    ),
    (
        "rumqttc::",
        &["controller/src/edges/", "edge-agent/src/uplink/"],
        "MQTT is spoken in one place of each daemon",
    ),
    ("mqtt5::", &["controller/src/broker/"], "the embedded broker is behind one module"),
    ("aya::", &["edge-agent/src/dataplane/"], "the kernel is behind `Dataplane`"),
    (
        "aya_ebpf::",
        &["ebpf/src/kernel/", "ebpf/src/bin/"],
        "only kernel programs are kernel programs",
    ),
    ("rtnetlink::", &["edge-agent/src/dataplane/"], "the kernel is behind `Dataplane`"),
    (
        "rusqlite::",
        // The controller reads the file of the program that it replaces, and nothing else.
        &["edge-agent/src/journal/", "controller/src/import/file.rs"],
        "the journal is the edge's only database",
    ),
    (
        "unsafe ",
        &[
            "ebpf/src/kernel/",
            "ebpf/src/bin/",
            "ebpf/src/clock/number.rs",
            "edge-agent/src/dataplane/",
        ],
        "memory is only handled where the kernel is",
    ),
];

#[test]
fn the_code_keeps_its_own_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("shared/ is in the workspace");
    let mut faults = Vec::new();
    for (krate, allowed) in MAY_USE {
        dependencies_point_down(root, krate, allowed, &mut faults);
        let files = sources(&root.join(krate));
        assert!(!files.is_empty(), "{krate}: no sources, so nothing was checked");
        for file in files {
            check_file(root, &file, &mut faults);
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

fn dependencies_point_down(root: &Path, krate: &str, allowed: &[&str], faults: &mut Vec<String>) {
    let manifest = root.join(krate).join("Cargo.toml");
    let text = fs::read_to_string(&manifest).expect("every member has a manifest");
    let manifest: toml::Table = text.parse().expect("cargo could read it too");
    for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
        let Some(dependencies) = manifest.get(section).and_then(toml::Value::as_table) else {
            continue;
        };
        for (other, _) in MAY_USE.iter().filter(|(other, _)| *other != krate) {
            if dependencies.contains_key(*other) && !allowed.contains(other) {
                faults.push(format!("{krate}/Cargo.toml: {krate} may not use {other}"));
            }
        }
    }
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of ours can be read") {
            let path = entry.expect("and so can its entries").path();
            let name = path.file_name().unwrap_or_default();
            if path.is_dir() && !["target", "node_modules"].iter().any(|skip| name == *skip) {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files
}

fn check_file(root: &Path, file: &Path, faults: &mut Vec<String>) {
    let text = fs::read_to_string(file).expect("a source file is text");
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let path = file.strip_prefix(root).unwrap_or(file).to_string_lossy().into_owned();
    // Tests at the end of a file, and files of tests, may be long and may look anywhere.
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let tests = path.contains("/tests/") || path.contains("/benches/");
    let mut fault = |why: &str| faults.push(format!("{path}: {why}"));

    if JUNK.contains(&name.as_ref()) {
        fault("name it after what it does");
    }
    if !text.starts_with("//!") {
        fault("the first line says what the file is for: `//! …`");
    }
    if !tests && code.lines().count() > LINES_MAX {
        fault(&format!("more than {LINES_MAX} lines are too long to hold in the head: split it"));
    }
    if !tests && (code.contains("unbounded_channel") || code.contains("mpsc::channel()")) {
        fault("a channel has a depth, a constant with a reason");
    }
    for (word, places, why) in ONLY_IN {
        let within = |place: &str| place.starts_with('/') && place.ends_with('/');
        let here = places.iter().any(|place| {
            path.starts_with(place)
                || path.ends_with(place)
                || (within(place) && path.contains(place))
        });
        let named = || code.lines().any(|line| !comment(line) && word_in(line, word));
        if !tests && !here && named() {
            fault(&format!("`{}`: {why}", word.trim()));
        }
    }
}

fn comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

/// As a whole word: `aya::` is not in `kampaya::`.
fn word_in(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).and_then(|before| before.chars().next_back());
        !before.is_some_and(|before| before.is_alphanumeric() || before == '_' || before == '"')
    })
}

#[test]
fn the_rules_see_what_they_are_for() {
    assert!(word_in("use aya::Ebpf;", "aya::"));
    assert!(word_in("    unsafe { read() }", "unsafe "));
    assert!(!word_in("use aya_ebpf::x;", "aya::"));
    assert!(!word_in("let not_unsafe = 1;", "unsafe "));
    let root = Path::new("/");
    let file = env::temp_dir().join(format!("kennet-tidy-{}", std::process::id())).join("util.rs");
    fs::create_dir_all(file.parent().expect("it was just joined")).expect("a temporary folder");
    fs::write(&file, format!("use sqlx::query;\nunsafe {{}}\n{}", "\n".repeat(LINES_MAX)))
        .expect("a temporary file");
    let mut faults = Vec::new();
    check_file(root, &file, &mut faults);
    fs::remove_dir_all(file.parent().expect("it was just joined")).expect("it is ours");
    assert_eq!(faults.len(), 5, "{faults:?}");
}

/// Licences that ask for nothing but to be named.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

#[test]
fn what_we_link_may_be_shipped_by_anybody() {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // One platform: the packages of the others were never fetched.
    let platform = format!("{}-unknown-linux-gnu", env::consts::ARCH);
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--offline", "--locked"])
        .args(["--filter-platform", &platform])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs this test");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo metadata: {errors}");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    let packages = metadata["packages"].as_array().expect("there are packages");
    assert!(packages.len() > 50, "cargo names every package");
    for package in packages {
        let (name, licence) = (&package["name"], package["license"].as_str());
        let licence = licence.unwrap_or_else(|| panic!("{name} names no licence"));
        assert!(allowed(licence), "{name}: {licence} is not on the list of licences");
        let source = package["source"].as_str();
        let registry = "registry+https://github.com/rust-lang/crates.io-index";
        assert!(source.is_none_or(|source| source == registry), "{name} is from {source:?}");
    }
}

/// SPDX: `OR` binds weaker than `AND`; `/` is an old way to write `OR`.
fn allowed(licence: &str) -> bool {
    let spaced = licence.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut words = words.as_slice();
    let allowed = any(&mut words);
    assert!(words.is_empty(), "not a licence expression: {licence}");
    allowed
}

fn any(words: &mut &[&str]) -> bool {
    let mut allowed = all(words);
    while let ["OR", rest @ ..] = words {
        *words = rest;
        allowed |= all(words);
    }
    allowed
}

fn all(words: &mut &[&str]) -> bool {
    let mut allowed = one(words);
    while let ["AND", rest @ ..] = words {
        *words = rest;
        allowed &= one(words);
    }
    allowed
}

fn one(words: &mut &[&str]) -> bool {
    match words {
        ["(", rest @ ..] => {
            *words = rest;
            let allowed = any(words);
            let [")", rest @ ..] = words else { panic!("a parenthesis is open: {words:?}") };
            *words = rest;
            allowed
        }
        [licence, "WITH", exception, rest @ ..] => {
            let licence = format!("{licence} WITH {exception}");
            *words = rest;
            LICENCES.contains(&licence.as_str())
        }
        [licence, rest @ ..] => {
            let allowed = LICENCES.contains(licence);
            *words = rest;
            allowed
        }
        [] => panic!("a licence is missing"),
    }
}

#[test]
fn licence_expressions_are_read_as_spdx_means_them() {
    assert!(allowed("MIT/Apache-2.0"));
    assert!(allowed("GPL-3.0-only OR MIT"));
    assert!(!allowed("GPL-3.0-only"));
    assert!(!allowed("MIT AND GPL-3.0-only"));
    assert!(allowed("(MIT OR GPL-3.0-only) AND Unicode-3.0"));
    assert!(!allowed("MIT AND GPL-3.0-only OR MPL-2.0"));
    assert!(allowed("Apache-2.0 WITH LLVM-exception OR GPL-3.0-only"));
    assert!(!allowed("GPL-2.0-only WITH Linux-syscall-note"));
}
