//! Builds the packets of `examples/capture.pcap`, and writes them as pcap and pcapng.
//!
//! Everything is a function of nothing: the same packets, times and bytes every time, so that a
//! test can compare the files with what this module makes. Addresses are those reserved for
//! documentation. Checksums are right, except where a packet is meant to be malformed.

use std::net::{Ipv4Addr, Ipv6Addr};

/// A packet as it was captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Microseconds since 1970.
    pub time_us: u64,
    /// The captured bytes, from the Ethernet header on.
    pub bytes: Vec<u8>,
    /// Bytes that were on the wire; more than `bytes.len()` where the capture cut the packet.
    pub wire_len: usize,
}

/// The server whose web service the clients use.
pub const SERVICE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
/// The same server in IPv6.
pub const SERVICE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 2, 0, 0, 0, 0x10);
/// The sender of a flood, for firewalls to block.
pub const ATTACKER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 66);
/// The sender of a flood over IPv6.
pub const ATTACKER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0xbad, 0, 0, 0, 0x66);

const RESOLVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 53);
const RESOLVER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 2, 0, 0, 0, 0x53);
const GATEWAY_MAC: [u8; 6] = [0x02, 0, 0x5e, 0, 0x53, 0x01];
const SERVER_MAC: [u8; 6] = [0x02, 0, 0x5e, 0, 0x53, 0x10];

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const VLAN: u16 = 0x8100;
const QINQ: u16 = 0x88a8;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;

/// All packets, in the order of time.
#[must_use]
pub fn frames() -> Vec<Frame> {
    let mut capture = Capture::default();
    capture.address_resolution();
    for client in 0..12 {
        capture.name_lookup(client);
        capture.web_v4(client);
        capture.web_v6(client);
        capture.ping(client);
        if client % 3 == 0 {
            capture.flood(client);
        }
        match client {
            1 => capture.vlans(),
            3 => capture.fragments(),
            5 => capture.options_and_extensions(),
            7 => capture.large(),
            9 => capture.truncated(),
            10 => capture.malformed(),
            _ => {}
        }
    }
    capture.frames
}

/// The packets as a pcap file: little-endian, microseconds, Ethernet.
#[must_use]
pub fn pcap(frames: &[Frame]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(0xa1b2_c3d4_u32.to_le_bytes());
    out.extend(2_u16.to_le_bytes());
    out.extend(4_u16.to_le_bytes());
    out.extend([0; 8]); // time zone and accuracy, always 0
    out.extend(65_535_u32.to_le_bytes());
    out.extend(1_u32.to_le_bytes());
    for frame in frames {
        out.extend(u32_of(frame.time_us / 1_000_000).to_le_bytes());
        out.extend(u32_of(frame.time_us % 1_000_000).to_le_bytes());
        out.extend(len32(frame.bytes.len()).to_le_bytes());
        out.extend(len32(frame.wire_len).to_le_bytes());
        out.extend(&frame.bytes);
    }
    out
}

/// The packets as a pcapng file: one little-endian section, one Ethernet interface, nanoseconds.
#[must_use]
pub fn pcapng(frames: &[Frame]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut section = Vec::new();
    section.extend(0x1a2b_3c4d_u32.to_le_bytes());
    section.extend(1_u16.to_le_bytes());
    section.extend(0_u16.to_le_bytes());
    section.extend(u64::MAX.to_le_bytes()); // the section's length is not given
    block(&mut out, 0x0a0d_0d0a, &section);

    let mut interface = Vec::new();
    interface.extend(1_u16.to_le_bytes());
    interface.extend(0_u16.to_le_bytes());
    interface.extend(65_535_u32.to_le_bytes());
    option(&mut interface, 2, b"example0"); // if_name
    option(&mut interface, 9, &[9]); // if_tsresol: nanoseconds
    option(&mut interface, 0, &[]);
    block(&mut out, 1, &interface);

    for frame in frames {
        let time_ns = frame.time_us * 1000;
        let mut packet = Vec::new();
        packet.extend(0_u32.to_le_bytes());
        packet.extend(u32_of(time_ns >> 32).to_le_bytes());
        packet.extend(u32_of(time_ns & 0xffff_ffff).to_le_bytes());
        packet.extend(len32(frame.bytes.len()).to_le_bytes());
        packet.extend(len32(frame.wire_len).to_le_bytes());
        packet.extend(&frame.bytes);
        pad4(&mut packet);
        block(&mut out, 6, &packet);
    }
    out
}

fn block(out: &mut Vec<u8>, kind: u32, body: &[u8]) {
    let len = len32(body.len() + 12);
    out.extend(kind.to_le_bytes());
    out.extend(len.to_le_bytes());
    out.extend(body);
    out.extend(len.to_le_bytes());
}

fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    out.extend(code.to_le_bytes());
    out.extend(len16(value.len()).to_le_bytes());
    out.extend(value);
    pad4(out);
}

fn pad4(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

fn u32_of(value: u64) -> u32 {
    u32::try_from(value).expect("fits the field")
}

fn len32(len: usize) -> u32 {
    u32::try_from(len).expect("packets are short")
}

fn len16(len: usize) -> u16 {
    u16::try_from(len).expect("packets are short")
}

/// The packets so far, the clock, and a source of arbitrary numbers.
struct Capture {
    frames: Vec<Frame>,
    time_us: u64,
    state: u32,
}

impl Default for Capture {
    fn default() -> Self {
        Self { frames: Vec::new(), time_us: 1_767_225_600_000_000, state: 0x0b20_16a5 }
    }
}

/// One side of a TCP connection.
#[derive(Clone, Copy)]
struct Side<A> {
    address: A,
    port: u16,
    sequence: u32,
}

impl Capture {
    /// Marsaglia's xorshift.
    fn arbitrary(&mut self) -> u32 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 17;
        self.state ^= self.state << 5;
        self.state
    }

    fn payload(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.arbitrary().to_le_bytes()[3]).collect()
    }

    /// Adds a packet, padded to Ethernet's least length.
    fn add(&mut self, mut bytes: Vec<u8>) {
        if bytes.len() < 60 {
            bytes.resize(60, 0);
        }
        self.add_raw(bytes);
    }

    /// Adds a packet as it is.
    fn add_raw(&mut self, bytes: Vec<u8>) {
        let wire_len = bytes.len();
        self.time_us += u64::from(10 + self.arbitrary() % 1500);
        self.frames.push(Frame { time_us: self.time_us, bytes, wire_len });
    }

    /// Adds a packet of which only the first `len` bytes were captured.
    fn add_cut(&mut self, bytes: Vec<u8>, len: usize) {
        self.add_raw(bytes);
        let frame = self.frames.last_mut().expect("just added");
        frame.bytes.truncate(len);
    }

    fn address_resolution(&mut self) {
        let gateway = Ipv4Addr::new(192, 0, 2, 1);
        let arp = |operation: u8, from: ([u8; 6], Ipv4Addr), to: ([u8; 6], Ipv4Addr)| {
            let mut body = vec![0, 1, 8, 0, 6, 4, 0, operation];
            body.extend(from.0);
            body.extend(from.1.octets());
            body.extend(to.0);
            body.extend(to.1.octets());
            body
        };
        let request = arp(1, (GATEWAY_MAC, gateway), ([0; 6], SERVICE));
        self.add(ethernet([0xff; 6], GATEWAY_MAC, 0x0806, &request));
        let reply = arp(2, (SERVER_MAC, SERVICE), (GATEWAY_MAC, gateway));
        self.add(ethernet(GATEWAY_MAC, SERVER_MAC, 0x0806, &reply));

        // Neighbour solicitation and advertisement; the hop limit of 255 is part of the protocol.
        let router = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
        for (kind, from, to) in [(135, router, SERVICE_V6), (136, SERVICE_V6, router)] {
            let mut body = vec![kind, 0, 0, 0, 0, 0, 0, 0];
            body.extend(SERVICE_V6.octets());
            body.extend([if kind == 135 { 1 } else { 2 }, 1]);
            body.extend(if kind == 135 { GATEWAY_MAC } else { SERVER_MAC });
            finish_v6(&mut body, 2, from, to, ICMPV6);
            self.add(from_client(IPV6, &ipv6(from, to, 255, ICMPV6, &body)));
        }
    }

    fn name_lookup(&mut self, client: u8) {
        let id = self.arbitrary().to_le_bytes();
        let mut query = vec![id[0], id[1], 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        query.extend(b"\x03www\x07example\x03com\0\0\x01\0\x01");
        let mut answer = query.clone();
        answer[2] = 0x81;
        answer[7] = 1;
        answer.extend(b"\xc0\x0c\0\x01\0\x01\0\0\x0e\x10\0\x04");
        answer.extend(SERVICE.octets());

        let port = 40_000 + u16::from(client);
        if client.is_multiple_of(2) {
            let from = client_v4(client);
            self.add(from_client(IPV4, &udp_v4(from, RESOLVER, port, 53, &query)));
            self.add(from_server(IPV4, &udp_v4(RESOLVER, from, 53, port, &answer)));
        } else {
            let from = client_v6(client);
            self.add(from_client(IPV6, &udp_v6(from, RESOLVER_V6, port, 53, &query)));
            self.add(from_server(IPV6, &udp_v6(RESOLVER_V6, from, 53, port, &answer)));
        }
    }

    fn web_v4(&mut self, client: u8) {
        let port = if client % 4 == 3 { 443 } else { 80 };
        let client = Side {
            address: client_v4(client),
            port: 50_000 + u16::from(client) * 7,
            sequence: self.arbitrary(),
        };
        let server = Side { address: SERVICE, port, sequence: self.arbitrary() };
        self.connection(client, server, |from, to, segment| {
            let segment = tcp(from.port, to.port, segment, |s| sum_v4(s, from.address, to.address, TCP));
            (IPV4, ipv4(from.address, to.address, 64, TCP, &segment))
        });
    }

    fn web_v6(&mut self, client: u8) {
        let client = Side {
            address: client_v6(client),
            port: 51_000 + u16::from(client) * 7,
            sequence: self.arbitrary(),
        };
        let server = Side { address: SERVICE_V6, port: 443, sequence: self.arbitrary() };
        self.connection(client, server, |from, to, segment| {
            let segment = tcp(from.port, to.port, segment, |s| sum_v6(s, from.address, to.address, TCP));
            (IPV6, ipv6(from.address, to.address, 64, TCP, &segment))
        });
    }

    /// A connection: three packets to open, a request, the answer in parts, and the end.
    fn connection<A: Copy>(
        &mut self,
        mut client: Side<A>,
        mut server: Side<A>,
        packet: impl Fn(Side<A>, Side<A>, &Segment) -> (u16, Vec<u8>),
    ) {
        let request = 80 + self.arbitrary() as usize % 400;
        let mut steps =
            vec![(true, SYN, 0), (false, SYN | ACK, 0), (true, ACK, 0), (true, PSH | ACK, request)];
        for _ in 0..=self.arbitrary() % 3 {
            steps.push((false, ACK, 1200 + self.arbitrary() as usize % 240));
            steps.push((true, ACK, 0));
        }
        steps.push((false, PSH | ACK, 20 + self.arbitrary() as usize % 900));
        if self.arbitrary().is_multiple_of(5) {
            steps.push((true, RST | ACK, 0));
        } else {
            steps.extend([(true, FIN | ACK, 0), (false, FIN | ACK, 0), (true, ACK, 0)]);
        }
        for (by_client, flags, len) in steps {
            let payload = self.payload(len);
            let (from, to) = if by_client { (client, server) } else { (server, client) };
            let acknowledged = if flags & ACK == 0 { 0 } else { to.sequence };
            let segment = Segment { sequence: from.sequence, acknowledged, flags, payload };
            let (ethertype, bytes) = packet(from, to, &segment);
            self.add(if by_client { from_client(ethertype, &bytes) } else { from_server(ethertype, &bytes) });
            let sent = len32(len) + u32::from(flags & (SYN | FIN) != 0);
            let sender = if by_client { &mut client } else { &mut server };
            sender.sequence = sender.sequence.wrapping_add(sent);
        }
    }

    fn ping(&mut self, client: u8) {
        let payload = self.payload(56);
        let (v4, v6) = (client_v4(client), client_v6(client));
        for reply in [false, true] {
            let mut body = vec![if reply { 0 } else { 8 }, 0, 0, 0, 0x12, client, 0, 1];
            body.extend(&payload);
            let sum = fold(sum_bytes(&body));
            body[2..4].copy_from_slice(&sum.to_be_bytes());
            let (from, to) = if reply { (SERVICE, v4) } else { (v4, SERVICE) };
            let packet = ipv4(from, to, 64, ICMP, &body);
            self.add(if reply { from_server(IPV4, &packet) } else { from_client(IPV4, &packet) });
        }
        for reply in [false, true] {
            let mut body = vec![if reply { 129 } else { 128 }, 0, 0, 0, 0x16, client, 0, 1];
            body.extend(&payload);
            let (from, to) = if reply { (SERVICE_V6, v6) } else { (v6, SERVICE_V6) };
            finish_v6(&mut body, 2, from, to, ICMPV6);
            let packet = ipv6(from, to, 64, ICMPV6, &body);
            self.add(if reply { from_server(IPV6, &packet) } else { from_client(IPV6, &packet) });
        }
    }

    /// Many opening packets and datagrams of one sender.
    fn flood(&mut self, round: u8) {
        for i in 0..10 {
            let port = 1024 + u16::from(round) * 64 + i;
            let segment =
                Segment { sequence: self.arbitrary(), acknowledged: 0, flags: SYN, payload: Vec::new() };
            let segment_v4 = tcp(port, 80, &segment, |s| sum_v4(s, ATTACKER, SERVICE, TCP));
            self.add(from_client(IPV4, &ipv4(ATTACKER, SERVICE, 53, TCP, &segment_v4)));
            let payload = self.payload(18);
            let datagram = udp_v6(ATTACKER_V6, SERVICE_V6, port, 1900, &payload);
            self.add(from_client(IPV6, &datagram));
        }
    }

    fn vlans(&mut self) {
        for (i, tags) in [&[(VLAN, 100)][..], &[(QINQ, 200), (VLAN, 100)], &[(VLAN, 7), (VLAN, 8), (VLAN, 9)]]
            .into_iter()
            .cycle()
            .take(12)
            .enumerate()
        {
            let client = 100 + u8::try_from(i).expect("few packets");
            let payload = self.payload(30 + 20 * i);
            let (ethertype, packet) = if i % 2 == 0 {
                (IPV4, udp_v4(client_v4(client), SERVICE, 6000 + u16::from(client), 80, &payload))
            } else {
                (IPV6, udp_v6(client_v6(client), SERVICE_V6, 6000 + u16::from(client), 80, &payload))
            };
            self.add(tagged(tags, ethertype, &packet));
        }
        // A tag with nothing behind it.
        self.add_raw(tagged(&[(VLAN, 100)], IPV4, &[]));
    }

    fn fragments(&mut self) {
        let from = client_v4(30);
        let datagram = {
            let payload = self.payload(3000);
            udp(4000, 4001, &payload, |s| sum_v4(s, from, SERVICE, UDP))
        };
        for (i, part) in datagram.chunks(1480).enumerate() {
            let more = if (i + 1) * 1480 < datagram.len() { 0x2000 } else { 0 };
            let fragment = more | len16(i * 1480 / 8);
            self.add(from_client(IPV4, &ipv4_with(from, SERVICE, 64, UDP, fragment, &[], part)));
        }

        // A first fragment that does not hold the whole TCP header, and one that would overwrite it.
        let segment = Segment { sequence: 1, acknowledged: 0, flags: SYN, payload: vec![0; 24] };
        let segment = tcp(1, 80, &segment, |s| sum_v4(s, ATTACKER, SERVICE, TCP));
        for (fragment, part) in [(0x2000, &segment[..2]), (0x2000, &segment[..8]), (1, &segment[8..])] {
            self.add_raw(from_client(IPV4, &ipv4_with(client_v4(31), SERVICE, 64, TCP, fragment, &[], part)));
        }

        let from = client_v6(30);
        let datagram = {
            let payload = self.payload(2600);
            udp(4000, 4001, &payload, |s| sum_v6(s, from, SERVICE_V6, UDP))
        };
        for (i, part) in datagram.chunks(1400).enumerate() {
            let more = u16::from((i + 1) * 1400 < datagram.len());
            let mut body = vec![UDP, 0];
            body.extend((len16(i * 1400) | more).to_be_bytes());
            body.extend(0x0102_0304_u32.to_be_bytes());
            body.extend(part);
            self.add(from_client(IPV6, &ipv6(from, SERVICE_V6, 64, 44, &body)));
        }
    }

    fn options_and_extensions(&mut self) {
        // Router alert; record route with room for nine; nothing but padding.
        let mut record = vec![7, 39, 4];
        record.resize(40, 0);
        for options in [&[0x94, 4, 0, 0][..], &record, &[1; 20]] {
            let from = client_v4(40);
            let payload = self.payload(64);
            let datagram = udp(4100, 80, &payload, |s| sum_v4(s, from, SERVICE, UDP));
            self.add(from_client(IPV4, &ipv4_with(from, SERVICE, 64, UDP, 0, options, &datagram)));
        }
        // Many IPv4 senders leave the checksum of UDP out.
        let bare = udp(4101, 80, b"no checksum here", |_| 0);
        let mut bare = ipv4(client_v4(41), SERVICE, 64, UDP, &bare);
        bare[26..28].fill(0);
        self.add(from_client(IPV4, &bare));

        // Chains of extension headers: each is its number, its bytes without the next header.
        let hop: (u8, &[u8]) = (0, &[0, 5, 2, 0, 0, 1, 0]);
        let routing: (u8, &[u8]) =
            (43, &[2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        let destination: (u8, &[u8]) = (60, &[1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let authentication: (u8, &[u8]) =
            (51, &[4, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7]);
        for chain in [
            &[hop][..],
            &[hop, routing],
            &[hop, destination, routing, authentication, destination],
            &[destination; 10],
        ] {
            let from = client_v6(40);
            let payload = self.payload(48);
            let mut body = udp(4200, 80, &payload, |s| sum_v6(s, from, SERVICE_V6, UDP));
            let mut next = UDP;
            for (number, rest) in chain.iter().rev() {
                body = [&[next][..], rest, &body].concat();
                next = *number;
            }
            self.add(from_client(IPV6, &ipv6(from, SERVICE_V6, 64, next, &body)));
        }
        // No next header; and a protocol that nobody here knows.
        self.add(from_client(IPV6, &ipv6(client_v6(41), SERVICE_V6, 64, 59, &[])));
        self.add(from_client(IPV4, &ipv4(client_v4(42), SERVICE, 64, 132, &[0; 40])));
    }

    fn large(&mut self) {
        for len in [2900, 3000] {
            let payload = self.payload(len);
            self.add(from_client(IPV4, &udp_v4(client_v4(50), SERVICE, 4300, 80, &payload)));
            self.add(from_client(IPV6, &udp_v6(client_v6(50), SERVICE_V6, 4300, 443, &payload)));
        }
        let from = client_v4(51);
        let payload = self.payload(2800);
        let segment = Segment { sequence: 1, acknowledged: 1, flags: ACK, payload };
        let segment = tcp(4301, 80, &segment, |s| sum_v4(s, from, SERVICE, TCP));
        self.add(from_client(IPV4, &ipv4(from, SERVICE, 64, TCP, &segment)));
    }

    /// Packets of which the capture holds only the start, and frames shorter than a header.
    fn truncated(&mut self) {
        for len in [96, 54, 42, 40, 33, 20, 14] {
            let payload = self.payload(500);
            self.add_cut(from_client(IPV4, &udp_v4(client_v4(60), SERVICE, 4400, 80, &payload)), len);
        }
        for len in [96, 62, 58, 53, 30, 15] {
            let payload = self.payload(500);
            self.add_cut(from_client(IPV6, &udp_v6(client_v6(60), SERVICE_V6, 4400, 80, &payload)), len);
        }
        for len in [13, 12, 6, 1] {
            let payload = self.payload(len);
            self.add_raw(payload);
        }
    }

    fn malformed(&mut self) {
        let good = udp_v4(client_v4(70), SERVICE, 4500, 80, b"a payload of some length");
        let with = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut packet = good.clone();
            change(&mut packet);
            packet[10..12].fill(0);
            let sum = fold(sum_bytes(&packet[..20]));
            packet[10..12].copy_from_slice(&sum.to_be_bytes());
            packet
        };
        let packets = [
            with(&|p| p[0] = 0x43),          // a header of three words
            with(&|p| p[0] = 0x4f),          // options longer than the packet
            with(&|p| p[0] = 0x65),          // version 6 behind IPv4's ethertype
            with(&|p| p[2..4].fill(0xff)),   // total length far behind the end
            with(&|p| p[2..4].fill(0)),      // no length
            with(&|p| p[8] = 1),             // the last hop
            with(&|p| p[8] = 0),             // beyond it
            with(&|p| p[12..16].fill(0xff)), // from the broadcast address
            with(&|p| p.truncate(22)),       // cut inside the ports
        ];
        for packet in packets {
            self.add_raw(from_client(IPV4, &packet));
        }
        let mut v6 = udp_v6(client_v6(70), SERVICE_V6, 4500, 80, b"payload");
        v6[7] = 1;
        self.add(from_client(IPV6, &v6));
        // An extension header that says it is longer than the packet.
        self.add(from_client(IPV6, &ipv6(client_v6(70), SERVICE_V6, 64, 0, &[UDP, 200, 1, 4, 0, 0, 0, 0])));
        // LLDP, and a length where others have an ethertype.
        self.add(ethernet(
            [1, 0x80, 0xc2, 0, 0, 0x0e],
            SERVER_MAC,
            0x88cc,
            &[2, 7, 4, 2, 0, 0x5e, 0, 0x53, 0x10],
        ));
        self.add(ethernet([1, 0x80, 0xc2, 0, 0, 0], SERVER_MAC, 38, &[0x42; 38]));
    }
}

/// What a TCP packet says.
struct Segment {
    sequence: u32,
    acknowledged: u32,
    flags: u8,
    payload: Vec<u8>,
}

fn client_v4(client: u8) -> Ipv4Addr {
    Ipv4Addr::new(203, 0, 113, 1 + client)
}

fn client_v6(client: u8) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 1 + u16::from(client))
}

fn from_client(ethertype: u16, packet: &[u8]) -> Vec<u8> {
    ethernet(SERVER_MAC, GATEWAY_MAC, ethertype, packet)
}

fn from_server(ethertype: u16, packet: &[u8]) -> Vec<u8> {
    ethernet(GATEWAY_MAC, SERVER_MAC, ethertype, packet)
}

fn ethernet(to: [u8; 6], from: [u8; 6], ethertype: u16, packet: &[u8]) -> Vec<u8> {
    [&to[..], &from, &ethertype.to_be_bytes(), packet].concat()
}

/// A frame with VLAN tags, the outermost first; each is its ethertype and its number.
fn tagged(tags: &[(u16, u16)], ethertype: u16, packet: &[u8]) -> Vec<u8> {
    let mut frame = from_client(tags[0].0, &[]);
    for (i, (_, number)) in tags.iter().enumerate() {
        frame.extend(number.to_be_bytes());
        frame.extend(tags.get(i + 1).map_or(ethertype, |tag| tag.0).to_be_bytes());
    }
    frame.extend(packet);
    frame
}

fn ipv4(from: Ipv4Addr, to: Ipv4Addr, ttl: u8, protocol: u8, body: &[u8]) -> Vec<u8> {
    ipv4_with(from, to, ttl, protocol, 0x4000, &[], body)
}

/// An IPv4 packet with flags, fragment offset, and options (whole words).
fn ipv4_with(
    from: Ipv4Addr,
    to: Ipv4Addr,
    ttl: u8,
    protocol: u8,
    fragment: u16,
    options: &[u8],
    body: &[u8],
) -> Vec<u8> {
    let header = 20 + options.len();
    let words = u8::try_from(header / 4).expect("at most ten words of options");
    let mut packet = vec![0x40 | words, 0];
    packet.extend(len16(header + body.len()).to_be_bytes());
    packet.extend(from.octets()[3..].iter().chain(&[0x77]));
    packet.extend(fragment.to_be_bytes());
    packet.extend([ttl, protocol, 0, 0]);
    packet.extend(from.octets());
    packet.extend(to.octets());
    packet.extend(options);
    let sum = fold(sum_bytes(&packet));
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(body);
    packet
}

fn ipv6(from: Ipv6Addr, to: Ipv6Addr, hops: u8, next: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(len16(body.len()).to_be_bytes());
    packet.extend([next, hops]);
    packet.extend(from.octets());
    packet.extend(to.octets());
    packet.extend(body);
    packet
}

fn udp(from: u16, to: u16, payload: &[u8], sum: impl Fn(&[u8]) -> u16) -> Vec<u8> {
    let mut datagram = Vec::new();
    datagram.extend(from.to_be_bytes());
    datagram.extend(to.to_be_bytes());
    datagram.extend(len16(8 + payload.len()).to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    // 0 means that there is no checksum, so a sum of 0 is sent as its other spelling.
    let sum = match sum(&datagram) {
        0 => 0xffff,
        sum => sum,
    };
    datagram[6..8].copy_from_slice(&sum.to_be_bytes());
    datagram
}

fn udp_v4(from: Ipv4Addr, to: Ipv4Addr, from_port: u16, to_port: u16, payload: &[u8]) -> Vec<u8> {
    ipv4(from, to, 64, UDP, &udp(from_port, to_port, payload, |s| sum_v4(s, from, to, UDP)))
}

fn udp_v6(from: Ipv6Addr, to: Ipv6Addr, from_port: u16, to_port: u16, payload: &[u8]) -> Vec<u8> {
    ipv6(from, to, 64, UDP, &udp(from_port, to_port, payload, |s| sum_v6(s, from, to, UDP)))
}

fn tcp(from: u16, to: u16, segment: &Segment, sum: impl Fn(&[u8]) -> u16) -> Vec<u8> {
    let opening = segment.flags & SYN != 0;
    let mut bytes = Vec::new();
    bytes.extend(from.to_be_bytes());
    bytes.extend(to.to_be_bytes());
    bytes.extend(segment.sequence.to_be_bytes());
    bytes.extend(segment.acknowledged.to_be_bytes());
    bytes.extend([if opening { 0x60 } else { 0x50 }, segment.flags, 0xfa, 0xf0, 0, 0, 0, 0]);
    if opening {
        bytes.extend([2, 4, 0x05, 0xb4]); // the largest segment
    }
    bytes.extend(&segment.payload);
    let sum = sum(&bytes);
    bytes[16..18].copy_from_slice(&sum.to_be_bytes());
    bytes
}

/// Writes the checksum of a protocol over IPv6 at an offset.
fn finish_v6(body: &mut [u8], at: usize, from: Ipv6Addr, to: Ipv6Addr, protocol: u8) {
    let sum = sum_v6(body, from, to, protocol);
    body[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}

fn sum_v4(body: &[u8], from: Ipv4Addr, to: Ipv4Addr, protocol: u8) -> u16 {
    let pseudo = u32::from(protocol) + len32(body.len());
    fold(sum_bytes(&from.octets()) + sum_bytes(&to.octets()) + pseudo + sum_bytes(body))
}

fn sum_v6(body: &[u8], from: Ipv6Addr, to: Ipv6Addr, protocol: u8) -> u16 {
    let pseudo = u32::from(protocol) + len32(body.len());
    fold(sum_bytes(&from.octets()) + sum_bytes(&to.octets()) + pseudo + sum_bytes(body))
}

/// The sum of big-endian 16-bit words (RFC 1071); packets are too short for it to overflow.
fn sum_bytes(bytes: &[u8]) -> u32 {
    bytes
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)])))
        .sum()
}

fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).expect("folded")
}
