//! The programs that are timed, and the packets that they run on.

use std::path::PathBuf;

/// A program to time.
#[derive(Clone, Copy, Debug)]
pub struct Subject {
    /// Name of the object in `benches/programs/`, and of its program.
    pub name: &'static str,
    /// Makes the packet that it runs on.
    pub packet: fn() -> Vec<u8>,
}

/// The programs, by kind of work.
pub const SUBJECTS: &[Subject] = &[
    Subject { name: "packet_parse", packet: tcp_with_options },
    Subject { name: "packet_checksum", packet: || udp4(&payload(1400)) },
    Subject { name: "packet_nat", packet: || udp4(&payload(200)) },
    Subject { name: "packet_search", packet: || udp4(&payload(700)) },
    Subject { name: "packet_ipv6", packet: udp6_with_extensions },
    Subject { name: "map_histogram", packet: || udp4(&payload(200)) },
    Subject { name: "map_flows", packet: || udp4(&payload(200)) },
    Subject { name: "map_percpu", packet: || udp4(&payload(200)) },
    Subject { name: "map_churn", packet: || udp4(&payload(200)) },
    Subject { name: "map_globals", packet: || udp4(&payload(200)) },
    Subject { name: "compute_siphash", packet: || udp4(&payload(200)) },
    Subject { name: "compute_sort", packet: || udp4(&payload(200)) },
    Subject { name: "compute_crc", packet: || udp4(&payload(200)) },
    Subject { name: "compute_vm", packet: || udp4(&payload(200)) },
    Subject { name: "compute_calls", packet: || udp4(&payload(200)) },
    Subject { name: "compute_divide", packet: || udp4(&payload(200)) },
];

impl Subject {
    /// The object's path.
    pub fn object(&self) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("programs").join(format!("{}.bpf.o", self.name))
    }
}

/// Bytes without a pattern that a branch predictor learns in one packet.
fn payload(len: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    std::iter::repeat_with(next).take(len).collect()
}

fn ethernet(proto: u16) -> Vec<u8> {
    let mut frame = vec![0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2];
    frame.extend(proto.to_be_bytes());
    frame
}

fn ip4(frame: &mut Vec<u8>, proto: u8, body: &[u8]) {
    let len = u16::try_from(20 + body.len()).expect("a packet is short");
    frame.extend([0x45, 0]);
    frame.extend(len.to_be_bytes());
    frame.extend([0x12, 0x34, 0x40, 0, 64, proto, 0, 0, 10, 1, 2, 3, 192, 168, 7, 9]);
    frame.extend(body);
}

fn udp4(data: &[u8]) -> Vec<u8> {
    let mut body = vec![0x9c, 0x40, 0x00, 0x35];
    body.extend(u16::try_from(8 + data.len()).expect("a packet is short").to_be_bytes());
    body.extend([0x11, 0x22]);
    body.extend(data);
    let mut frame = ethernet(0x0800);
    ip4(&mut frame, 17, &body);
    frame
}

/// Two VLAN tags, then TCP with 24 bytes of options.
fn tcp_with_options() -> Vec<u8> {
    let mut frame = ethernet(0x88a8);
    frame.extend([0x00, 0x64, 0x81, 0x00, 0x20, 0x65, 0x08, 0x00]);
    let mut tcp = vec![0xc3, 0x50, 0x01, 0xbb, 1, 2, 3, 4, 5, 6, 7, 8, 0xb0, 0x02, 0xff, 0xff, 0, 0, 0, 0];
    tcp.extend([2, 4, 0x05, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 3, 3, 7, 1, 1, 1, 1]);
    tcp.extend(payload(100));
    ip4(&mut frame, 6, &tcp);
    frame
}

/// Hop-by-hop and destination options, routing header, then UDP.
fn udp6_with_extensions() -> Vec<u8> {
    let mut frame = ethernet(0x86dd);
    frame.extend([0x60, 0, 0, 0, 0, 140, 0, 64]);
    frame.extend(payload(32));
    for next in [60u8, 43, 60, 17] {
        frame.extend([next, 1, 1, 4, 0, 0, 0, 0, 1, 6, 0, 0, 0, 0, 0, 0]);
    }
    frame.extend([0x9c, 0x40, 0x00, 0x35, 0, 76, 0x11, 0x22]);
    frame.extend(payload(68));
    frame
}
