//! The prefixes of the walled garden in the kernel.

use std::collections::BTreeMap;

use aya::maps::{LpmTrie, MapData, MapError, lpm_trie::Key};
use ebpf::layout::Plot;

use crate::dataplane::{
    DataplaneError, Garden, Within,
    garden::{key, key_bits},
};

/// Puts in what is wanted, and takes out what nobody wants any more.
pub(super) fn bring(
    plots: &mut LpmTrie<MapData, [u32; 4], u32>,
    garden: &Garden,
) -> Result<(), DataplaneError> {
    let attempt = || "bring the walled garden to what is wanted".to_owned();
    let wanted: BTreeMap<(u32, [u32; 4]), u32> = garden
        .plots()
        .into_iter()
        .map(|(prefix, bits)| ((key_bits(prefix), key(prefix.address()).0), bits))
        .collect();
    // What a process before this one has put there is there, too.
    let there: Vec<_> = plots.iter().collect::<Result<_, _>>().within(attempt)?;
    for ((length, address), bits) in &wanted {
        plots.insert(&Key::new(*length, *address), *bits, 0).within(attempt)?;
    }
    for (key, bits) in there {
        // Addresses of names go by themselves.
        if bits & Plot::LEARNT != 0 || wanted.contains_key(&(key.prefix_len(), key.data())) {
            continue;
        }
        match plots.remove(&key) {
            Ok(()) | Err(MapError::KeyNotFound) => {}
            Err(error) => return Err(error).within(attempt),
        }
    }
    Ok(())
}
