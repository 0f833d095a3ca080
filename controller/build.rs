//! Builds again when a migration is added: the binary has them all.

fn main() {
    println!("cargo::rerun-if-changed=migrations");
}
