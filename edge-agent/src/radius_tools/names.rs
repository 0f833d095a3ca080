//! `kennet-edge radius dictionary`: prints what dictionaries say, in their own format.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    process::ExitCode,
};

use radius::{
    Dictionary,
    attr::path::Path,
    dictionary::{Attribute, Vendor},
};

/// 1 if there is nothing of this name.
pub(super) fn run(dictionary: &Dictionary, name: Option<&str>) -> ExitCode {
    let mut text = String::new();
    // Into a string nothing fails.
    let _ = match name {
        None => write_vendors(dictionary, &mut text),
        Some(name) => write_found(dictionary, name, &mut text),
    };
    let found = !text.is_empty();
    if !found {
        text.push_str("there is no vendor and no attribute of this name\n");
    }
    // Who reads may have read enough, as `head` does.
    let _ = io::stdout().write_all(text.as_bytes());
    if found { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn write_vendors(dictionary: &Dictionary, text: &mut String) -> std::fmt::Result {
    let standard = attributes_of(dictionary, None).count();
    writeln!(text, "{standard:>6} attributes of the RFCs")?;
    for vendor in dictionary.vendors() {
        let count = attributes_of(dictionary, Some(vendor.number())).count();
        writeln!(text, "{count:>6} {:<20} {}", vendor.name(), vendor.number())?;
    }
    Ok(())
}

fn write_found(dictionary: &Dictionary, name: &str, text: &mut String) -> std::fmt::Result {
    if let Some(attribute) = dictionary.attribute(name) {
        write_attribute(dictionary, attribute, text)?;
        for (number, value) in attribute.values() {
            writeln!(text, "VALUE      {:<36} {value:<28} {number}", attribute.name())?;
        }
        return Ok(());
    }
    for attribute in search(dictionary, name) {
        write_attribute(dictionary, attribute, text)?;
    }
    Ok(())
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

fn write_attribute(
    dictionary: &Dictionary,
    attribute: &Attribute,
    text: &mut String,
) -> std::fmt::Result {
    let vendor = attribute.path().vendor_number().and_then(|number| dictionary.vendor(number));
    let line = format!(
        "ATTRIBUTE  {:<36} {:<16} {:<12} {:<18}{}",
        attribute.name(),
        attribute.path().to_string(),
        attribute.kind().to_string(),
        attribute.flags().to_string(),
        vendor.map_or("", Vendor::name),
    );
    writeln!(text, "{}", line.trim_end())
}
