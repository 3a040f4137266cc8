//! Writes `examples/capture.pcap` and `examples/capture.pcapng`, or the same into a directory given.

use std::path::PathBuf;

use brolga_tests::capture;

fn main() -> std::io::Result<()> {
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples");
    let directory = std::env::args_os().nth(1).map_or_else(|| PathBuf::from(examples), PathBuf::from);
    let frames = capture::frames();
    std::fs::write(directory.join("capture.pcap"), capture::pcap(&frames))?;
    std::fs::write(directory.join("capture.pcapng"), capture::pcapng(&frames))
}
