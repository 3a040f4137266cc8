//! Captures written here, read back, and read when they are damaged.

use std::io::{Cursor, ErrorKind, Read};

use super::{CaptureError, MAX_PACKET, Packet, Problem, Reader, Writer};

fn read(bytes: &[u8]) -> (Vec<Packet>, Option<CaptureError>) {
    let mut reader = match Reader::new(Cursor::new(bytes)) {
        Ok(reader) => reader,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let mut packets = Vec::new();
    let mut packet = Packet::default();
    loop {
        match reader.next(&mut packet) {
            Ok(true) => packets.push(packet.clone()),
            Ok(false) => return (packets, None),
            Err(error) => return (packets, Some(error)),
        }
    }
}

fn fail(bytes: &[u8]) -> String {
    read(bytes).1.expect("the capture is malformed").to_string()
}

fn example() -> Vec<Packet> {
    let packet = |time_ns, wire_len, len: u8| Packet { time_ns, wire_len, bytes: (0..len).collect() };
    vec![
        packet(1_700_000_000_123_456_000, 60, 60),
        packet(1_700_000_001_000_001_000, 1500, 33),
        packet(1_700_000_002_999_999_000, 0, 0),
    ]
}

/// The packets as pcap in one of its four forms.
fn pcap(packets: &[Packet], big: bool, nanoseconds: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out, nanoseconds).unwrap();
    packets.iter().for_each(|packet| writer.packet(packet).unwrap());
    writer.finish().unwrap();
    if big {
        let mut at = 24;
        let swap = |out: &mut [u8], from: usize, width: usize| out[from..from + width].reverse();
        for (from, width) in [(0, 4), (4, 2), (6, 2), (8, 4), (12, 4), (16, 4), (20, 4)] {
            swap(&mut out, from, width);
        }
        for packet in packets {
            (0..4).for_each(|word| swap(&mut out, at + 4 * word, 4));
            at += 16 + packet.bytes.len();
        }
    }
    out
}

fn word(value: u32, big: bool) -> [u8; 4] {
    if big { value.to_be_bytes() } else { value.to_le_bytes() }
}

fn block(kind: u32, body: &[u8], big: bool) -> Vec<u8> {
    let len = word(u32::try_from(body.len() + 12).unwrap(), big);
    [&word(kind, big)[..], &len, body, &len].concat()
}

fn section(big: bool) -> Vec<u8> {
    let version = if big { [0, 1, 0, 0] } else { [1, 0, 0, 0] };
    block(0x0a0d_0d0a, &[&word(0x1a2b_3c4d, big)[..], &version, &[0xff; 8]].concat(), big)
}

fn interface(big: bool, options: &[u8]) -> Vec<u8> {
    let link = if big { [0, 1, 0, 0] } else { [1, 0, 0, 0] };
    block(1, &[&link[..], &word(0, big), options].concat(), big)
}

fn enhanced(time: u64, packet: &Packet, big: bool) -> Vec<u8> {
    let len = u32::try_from(packet.bytes.len()).unwrap();
    let words = [0, (time >> 32) as u32, time as u32, len, packet.wire_len].map(|w| word(w, big));
    let padding = vec![0; packet.bytes.len().next_multiple_of(4) - packet.bytes.len()];
    block(6, &[&words.concat(), &packet.bytes[..], &padding].concat(), big)
}

#[test]
fn all_forms_of_pcap_hold_the_same_packets() {
    for big in [false, true] {
        for nanoseconds in [false, true] {
            let (packets, error) = read(&pcap(&example(), big, nanoseconds));
            assert!(error.is_none(), "big {big}, nanoseconds {nanoseconds}: {error:?}");
            assert_eq!(packets, example());
        }
    }
}

#[test]
fn pcapng_of_either_byte_order_and_any_clock() {
    // Default, nanoseconds, 2^-20 s, and nanoseconds counted from a second later.
    let clocks: [(&[u8], u64, u64); 4] = [
        (&[], 1_700_000_000_123_456, 1_700_000_000_123_456_000),
        (&[9, 0, 1, 0, 9, 0, 0, 0], 77, 77),
        (&[9, 0, 1, 0, 0x94, 0, 0, 0], 3 << 19, 1_500_000_000),
        (&[9, 0, 1, 0, 9, 0, 0, 0, 14, 0, 8, 0, 1, 0, 0, 0, 0, 0, 0, 0], 5, 1_000_000_005),
    ];
    for (options, time, expected) in clocks {
        let packet = Packet { time_ns: expected, ..example()[1].clone() };
        let file = [section(false), interface(false, options), enhanced(time, &packet, false)].concat();
        let (packets, error) = read(&file);
        assert!(error.is_none(), "{error:?}");
        assert_eq!(packets, [packet]);
    }
    let packet = example().remove(1);
    let big = [section(true), interface(true, &[]), enhanced(packet.time_ns / 1000, &packet, true)].concat();
    assert_eq!(read(&big).0, [packet]);
    let later = Packet { time_ns: 1_000_005_000, ..example().remove(1) };
    let options = [0, 14, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
    let big = [section(true), interface(true, &options), enhanced(5, &later, true)].concat();
    assert_eq!(read(&big).0, [later]);
}

#[test]
fn pcapng_packets_are_of_the_interface_that_they_name() {
    // Microseconds of Ethernet; nanoseconds of Ethernet; raw IP.
    let mut raw = interface(false, &[]);
    raw[8] = 101;
    let start = [section(false), interface(false, &[]), interface(false, &[9, 0, 1, 0, 9, 0, 0, 0]), raw];
    let of = |interface: u8| {
        let mut bytes = enhanced(7, &example()[0], false);
        bytes[8] = interface;
        bytes
    };
    let (packets, error) = read(&[start.concat(), of(1), of(0), of(1), of(2), of(0)].concat());
    assert_eq!(packets.iter().map(|packet| packet.time_ns).collect::<Vec<_>>(), [7, 7000, 7]);
    let error = error.expect("a packet is not of Ethernet").to_string();
    assert_eq!(
        error,
        "after packet 3, at byte 372: the capture has link type 101 (raw IP), but must be of Ethernet"
    );
}

#[test]
fn pcap_with_longer_packet_headers() {
    // The form of a patched libpcap: eight more bytes in front of each packet.
    let mut file = pcap(&[], false, false);
    file[..2].copy_from_slice(&[0x34, 0xcd]);
    for packet in example() {
        let bytes = pcap(std::slice::from_ref(&packet), false, false);
        file.extend([&bytes[24..40], &[0xee; 8], &bytes[40..]].concat());
    }
    let (packets, error) = read(&file);
    assert!(error.is_none(), "{error:?}");
    assert_eq!(packets, example());
}

/// An input that gives a byte at a time, is interrupted between them, and fails behind the last.
struct Failing<'a>(&'a [u8], bool);

impl Read for Failing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.1 = !self.1;
        match (self.1, self.0.split_first()) {
            (true, _) => Err(ErrorKind::Interrupted.into()),
            (false, None) => Err(std::io::Error::other("the disk is gone")),
            (false, Some((&byte, rest))) => {
                self.0 = rest;
                buffer[0] = byte;
                Ok(1)
            }
        }
    }
}

#[test]
fn what_the_system_says_is_kept() {
    let file = [section(false), interface(false, &[]), enhanced(1, &example()[1], false)].concat();
    for file in [pcap(&example()[..1], false, false), file] {
        let mut reader = Reader::new(Failing(&file, false)).unwrap();
        let mut packet = Packet::default();
        assert!(reader.next(&mut packet).unwrap());
        let error = reader.next(&mut packet).unwrap_err().to_string();
        let place = format!("after packet 1, at byte {}", file.len());
        assert_eq!(error, format!("{place}: could not be read: the disk is gone"));
    }
}

#[test]
fn pcapng_passes_over_other_blocks_and_begins_new_sections() {
    let packet = Packet { time_ns: 4000, wire_len: 2, bytes: vec![1, 2] };
    let part = |big| {
        [
            section(big),
            block(0xbad, &[7; 8], big),
            interface(big, &[]),
            block(4, &[], big),
            enhanced(4, &packet, big),
            block(3, &[&word(2, big)[..], &[1, 2, 0, 0]].concat(), big),
        ]
        .concat()
    };
    let (packets, error) = read(&[part(false), part(true)].concat());
    assert!(error.is_none(), "{error:?}");
    let simple = Packet { time_ns: 0, ..packet.clone() };
    assert_eq!(packets, [packet.clone(), simple.clone(), packet, simple]);
}

#[test]
fn a_capture_cut_anywhere_gives_the_packets_before_and_an_error() {
    let ng = [
        section(false),
        interface(false, &[9, 0, 1, 0, 9, 0, 0, 0]),
        enhanced(1, &example()[0], false),
        enhanced(2, &example()[1], false),
    ]
    .concat();
    for file in [pcap(&example(), false, false), ng] {
        let mut whole = 0;
        for len in 0..file.len() {
            let (packets, error) = read(&file[..len]);
            // Between two packets, a cut cannot be seen.
            whole += usize::from(error.is_none());
            if let Some(error) = error {
                assert!(matches!(error.problem, Problem::CutOff { .. }), "cut at {len}: {error}");
                assert_eq!(error.packets, packets.len() as u64);
            }
        }
        assert!(whole <= 4, "{whole} cuts were not seen");
    }
}

#[test]
fn lengths_are_not_trusted() {
    let mut file = pcap(&example(), false, false);
    file[32..36].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(
        fail(&file),
        format!("at byte 24: a packet of {} bytes is above the limit of {MAX_PACKET}", u32::MAX)
    );

    let packet = &example()[0];
    let start = [section(false), interface(false, &[])].concat();
    let with = |at: usize, value: u32| {
        let mut bytes = enhanced(1, packet, false);
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        fail(&[&start[..], &bytes].concat())
    };
    assert_eq!(with(4, 8), "at byte 48: malformed block: a length of 8 bytes");
    assert_eq!(with(4, 13), "at byte 48: malformed block: a length of 13 bytes");
    assert_eq!(
        with(4, u32::MAX - 3),
        "at byte 48: a block of 4294967292 bytes is above the limit of 16777216"
    );
    assert_eq!(with(4, 96), "at byte 48: the file ends inside of a block: 4 bytes are missing");
    assert_eq!(with(8, 7), "at byte 48: malformed packet block: it is of interface 7, but there are 1");
    assert_eq!(with(20, 61), "at byte 48: malformed packet block: its fields need 4 bytes more than it has");
    assert_eq!(with(20, u32::MAX), "at byte 48: malformed packet block: its fields do not fit its length");
    let last = enhanced(1, packet, false).len() - 4;
    assert_eq!(with(last, 4), "at byte 48: malformed block: its length is 92 before and 4 behind it");

    let long = Packet { bytes: vec![0; MAX_PACKET as usize + 4], ..packet.clone() };
    let long = [&start[..], &enhanced(1, &long, false)].concat();
    assert_eq!(fail(&long), "at byte 48: a packet of 262148 bytes is above the limit of 262144");
    let simple = block(3, &[&word(9, false)[..], &[0; 8]].concat(), false);
    assert_eq!(
        fail(&[&start[..], &simple].concat()),
        "at byte 48: malformed packet block: 9 bytes are wanted where 8 are left"
    );
    // Blocks that no packet needs are not looked into, but are as long as they say.
    for kind in [4, 5, 0x8000_0001] {
        for big in [false, true] {
            let file = [section(big), block(kind, &[], big), interface(big, &[])].concat();
            assert!(read(&file).1.is_none(), "kind {kind}");
        }
        let mut short = block(kind, &[], false);
        short[4] = 8;
        assert!(fail(&[&start[..], &short].concat()).ends_with("malformed block: a length of 8 bytes"));
    }
}

#[test]
fn what_is_no_capture_of_ethernet_is_refused() {
    assert_eq!(fail(b"\x7fELF"), "at byte 0: neither pcap nor pcapng: begins with 7f 45 4c 46");
    assert_eq!(fail(b"\x1f\x8b\x08\0"), "at byte 0: compressed by gzip: decompress it first");
    assert_eq!(
        fail(b"\xd4"),
        "at byte 0: the file ends inside of the file's first four bytes: 3 bytes are missing"
    );
    assert_eq!(
        fail(b""),
        "at byte 0: the file ends inside of the file's first four bytes: 4 bytes are missing"
    );
    let obsolete = [section(false), interface(false, &[]), block(2, &[0; 20], false)].concat();
    assert_eq!(
        fail(&obsolete),
        "at byte 48: a packet in pcapng's obsolete form: convert the capture with `editcap` first"
    );
    let mut raw = pcap(&[], false, false);
    raw[20] = 101;
    assert_eq!(fail(&raw), "at byte 20: the capture has link type 101 (raw IP), but must be of Ethernet");
    let mut old = pcap(&[], false, false);
    old[4] = 3;
    assert_eq!(fail(&old), "at byte 4: version 3.4 of the format is not known");
}

#[test]
fn arbitrary_bytes_are_read_to_an_end() {
    // Every byte of a small file set to each of a few values: an answer, whatever it is.
    let ng = [section(false), interface(false, &[9, 0, 1, 0, 9, 0, 0, 0]), enhanced(1, &example()[1], false)]
        .concat();
    for file in [pcap(&example(), false, false), ng] {
        for at in 0..file.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut bytes = file.clone();
                bytes[at] = value;
                let (packets, _) = read(&bytes);
                assert!(packets.iter().all(|packet| packet.bytes.len() <= MAX_PACKET as usize));
            }
        }
    }
}
