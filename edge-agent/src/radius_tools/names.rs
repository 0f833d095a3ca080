//! `kennet-edge radius dictionary`: prints what dictionaries say, in their own format.

#![expect(clippy::print_stdout, reason = "a command-line tool's answer")]

use std::process::ExitCode;

use radius::{
    Dictionary,
    attr::path::Path,
    dictionary::{Attribute, Vendor},
};

/// 1 if there is nothing of this name.
pub(super) fn run(dictionary: &Dictionary, name: Option<&str>) -> ExitCode {
    let Some(name) = name else {
        let standard = attributes_of(dictionary, None).count();
        println!("{standard:>6} attributes of the RFCs");
        for vendor in dictionary.vendors() {
            let count = attributes_of(dictionary, Some(vendor.number())).count();
            println!("{count:>6} {:<20} {}", vendor.name(), vendor.number());
        }
        return ExitCode::SUCCESS;
    };
    if let Some(attribute) = dictionary.attribute(name) {
        print(dictionary, attribute);
        for (number, value) in attribute.values() {
            println!("VALUE      {:<36} {value:<28} {number}", attribute.name());
        }
        return ExitCode::SUCCESS;
    }
    let found = search(dictionary, name);
    for attribute in &found {
        print(dictionary, attribute);
    }
    if found.is_empty() {
        println!("no vendor and no attribute is called {name:?}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Those of a vendor, or below a number, or with this part of a name.
fn search<'d>(dictionary: &'d Dictionary, name: &str) -> Vec<&'d Attribute> {
    if let Some(vendor) = dictionary.vendor_named(name) {
        return attributes_of(dictionary, Some(vendor.number())).collect();
    }
    if let Some(path) = Path::parse(name) {
        let below = |attribute: &&Attribute| attribute.path().numbers().starts_with(path.numbers());
        return dictionary.attributes().filter(below).collect();
    }
    let part = name.to_ascii_lowercase();
    let matches = |attribute: &&Attribute| attribute.name().to_ascii_lowercase().contains(&part);
    dictionary.attributes().filter(matches).collect()
}

fn attributes_of(dictionary: &Dictionary, vendor: Option<u32>) -> impl Iterator<Item = &Attribute> {
    dictionary.attributes().filter(move |attribute| attribute.path().vendor_number() == vendor)
}

fn print(dictionary: &Dictionary, attribute: &Attribute) {
    let vendor = attribute.path().vendor_number().and_then(|number| dictionary.vendor(number));
    let line = format!(
        "ATTRIBUTE  {:<36} {:<20} {:<12} {:<18}{}",
        attribute.name(),
        attribute.path(),
        attribute.kind(),
        attribute.flags(),
        vendor.map_or("", Vendor::name),
    );
    println!("{}", line.trim_end());
}
