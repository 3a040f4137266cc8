//! Verifies and compiles the firewall of this repository, and links it into the program.

fn main() -> Result<(), brolga_build::Error> {
    brolga_build::Builder::new("../firewall.bpf.o").compile("firewall")
}
