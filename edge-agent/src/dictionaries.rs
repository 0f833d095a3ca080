//! RADIUS dictionaries: those that are shipped, and an operator's own files.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use radius::{
    Dictionary,
    dictionary::{DictionaryError, Source},
};

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Dictionary(#[from] DictionaryError),
}

/// What is shipped, and `files` after it. A file that one of them includes is looked for beside
/// it.
pub fn load(files: &[PathBuf]) -> Result<Dictionary, LoadError> {
    let mut dictionary = Dictionary::shipped();
    for path in files {
        let source = read(path).map_err(|source| LoadError::Read { path: path.clone(), source })?;
        dictionary.add(&source, &mut |from, name| {
            Ok(read(&Path::new(from).with_file_name("").join(name))?)
        })?;
    }
    Ok(dictionary)
}

fn read(path: &Path) -> io::Result<Source> {
    let mut octets = Vec::new();
    let file = File::open(path)?;
    if file.take(LEN_MAX + 1).read_to_end(&mut octets)? > LEN_MAX.try_into().unwrap_or(usize::MAX) {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "a dictionary is below 16 MiB"));
    }
    // Those of vendors have comments in all encodings.
    let text = String::from_utf8_lossy(&octets).into_owned();
    Ok(Source { name: path.display().to_string(), text })
}

/// The largest of those that vendors publish has 100 KB.
const LEN_MAX: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use shared::daemon::Chain;

    use super::*;

    #[test]
    fn own_files_are_added_to_what_is_shipped_and_include_their_neighbours() {
        let folder = tempfile::tempdir().unwrap();
        let (main, other) = (folder.path().join("my.dict"), folder.path().join("other.dict"));
        std::fs::write(&main, "VENDOR Mine 32473\n$INCLUDE other.dict\n").unwrap();
        std::fs::write(&other, "BEGIN-VENDOR Mine\nATTRIBUTE Mine-A 1 string # caf\u{e9}\n")
            .unwrap();
        let fault = Chain(&load(std::slice::from_ref(&main)).unwrap_err()).to_string();
        assert!(fault.contains("other.dict:2: expected `END-VENDOR mine`"), "{fault}");

        std::fs::write(&other, b"BEGIN-VENDOR Mine\nATTRIBUTE A 1 string # \xe9\nEND-VENDOR Mine")
            .unwrap();
        let dictionary = load(std::slice::from_ref(&main)).unwrap();
        assert_eq!(dictionary.attribute("A").unwrap().path().to_string(), "26.32473.1");
        assert!(dictionary.attribute("Mikrotik-Rate-Limit").is_some());

        std::fs::remove_file(&other).unwrap();
        let fault = Chain(&load(std::slice::from_ref(&main)).unwrap_err()).to_string();
        assert!(fault.contains("my.dict:2: cannot read `other.dict`: No such file"), "{fault}");
        let fault = Chain(&load(&[other]).unwrap_err()).to_string();
        assert!(fault.starts_with("cannot read /") && fault.contains("No such file"), "{fault}");
    }

    #[test]
    fn what_has_no_end_is_refused() {
        let fault = Chain(&load(&[PathBuf::from("/dev/zero")]).unwrap_err()).to_string();
        assert!(fault.contains("below 16 MiB"), "{fault}");
    }
}
