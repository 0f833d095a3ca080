//! The text of a dictionary, which an operator or a vendor has written.

#![no_main]

use libfuzzer_sys::fuzz_target;
use radius::{Dictionary, dictionary::Source};

fuzz_target!(|text: &str| {
    let source = Source { name: "fuzz".to_owned(), text: text.to_owned() };
    let mut dictionary = Dictionary::default();
    let mut left = 3;
    let result = dictionary.add(&source, &mut |_, name| {
        // A file that includes itself would go on for as long as there is time.
        left -= 1;
        if left < 0 {
            return Err("that is enough".into());
        }
        Ok(Source { name: name.to_owned(), text: text.to_owned() })
    });
    if let Err(error) = result {
        assert!(!error.to_string().is_empty() && error.line > 0 || text.is_empty());
    }
    for attribute in dictionary.attributes() {
        let found = dictionary.attribute(attribute.name()).expect("it has a name");
        assert_eq!(found.path(), attribute.path());
        assert!(dictionary.at(attribute.path()).is_some());
        let _ = dictionary.place(attribute.path());
        for (number, name) in attribute.values() {
            assert!(attribute.value(name).is_some(), "{name} is not {number}");
        }
        let _ = dictionary.parse_pair(&format!("{} = 0x00", attribute.name()));
    }
});
