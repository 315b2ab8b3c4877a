//! The one call of the ABI that the SDK makes too dear.
#![expect(unsafe_code, reason = "a foreign function that hands over memory")]

use std::ptr::{null_mut, slice_from_raw_parts_mut};

use proxy_wasm::types::{MapType, Status};

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_get_header_map_pairs(kind: MapType, data: *mut *mut u8, size: *mut usize) -> Status;
}

/// A header map as the host serialises it; nothing when the host has none.
pub(crate) fn header_map(kind: MapType) -> Option<Vec<u8>> {
    let (mut data, mut size) = (null_mut(), 0);
    // SAFETY: both point to where the host may write, and it writes there before it returns.
    let status = unsafe { proxy_get_header_map_pairs(kind, &raw mut data, &raw mut size) };
    if status != Status::Ok || data.is_null() {
        return None;
    }
    // SAFETY: the host got the memory from the SDK's `proxy_on_memory_allocate`, which makes a vector of exactly this
    // size and gives it away.
    Some(unsafe { Box::from_raw(slice_from_raw_parts_mut(data, size)) }.into_vec())
}
