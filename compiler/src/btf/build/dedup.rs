//! Merges types that are the same.
//!
//! Two types are the same where their records agree and what they refer to is the same, however
//! far one follows it, circles included. A forward declaration is the one structure or union of
//! its name, and an enumeration without values the one that has them; where there are several
//! different ones it stays. Since that makes more types the same, it is done in rounds.
//!
//! Variables and data sections are never merged: each is a place in memory.

use std::collections::HashMap;

use super::partition::{Edge, Partition};
use super::{Builder, Kind, TypeId, Word, word};

/// Rounds of finding what forward declarations mean. Each but the last finds more; real files need
/// two or three.
const ROUNDS: usize = 8;

impl Builder {
    /// Merges types that are the same, and returns the new id of each old one, `void` first.
    pub fn dedup(&mut self) -> Vec<TypeId> {
        // What stands for each type: itself, or for a forward declaration what it declares.
        let mut meaning: Vec<u32> = (0..self.next_id().0).collect();
        let classes = self.classes();
        let mut partition = Partition::refine(&classes, &self.edges(&meaning));
        for _ in 0..ROUNDS {
            if !self.resolve(&mut meaning, &partition) {
                break;
            }
            partition = Partition::refine(&classes, &self.edges(&meaning));
        }
        let firsts = partition.first_of_classes();
        let kept = |id: u32| firsts[partition.class(meaning[id as usize]) as usize];
        let mut ids = vec![TypeId::VOID; meaning.len()];
        let mut next = 0;
        for id in self.ids().filter(|&id| kept(id) == id) {
            next += 1;
            ids[id as usize] = TypeId(next);
        }
        for id in self.ids() {
            ids[id as usize] = ids[kept(id) as usize];
        }
        self.keep(&ids, |id| kept(id) == id);
        ids
    }

    /// Classes of types by what their records say, but for what they refer to.
    fn classes(&self) -> Vec<u32> {
        let mut known: HashMap<Vec<u32>, u32> = HashMap::new();
        let mut classes = vec![0];
        for id in self.ids() {
            let record = self.record(id);
            let kind = Self::kind(record);
            let is_value = |(index, _): &(usize, &u32)| word(kind, *index) != Word::Type;
            let mut key: Vec<u32> =
                record.iter().enumerate().filter(is_value).map(|(_, &value)| value).collect();
            if matches!(kind, Kind::Var | Kind::Datasec) {
                key.push(id);
            }
            let next = u32::try_from(known.len() + 1).expect("no more classes than types");
            classes.push(*known.entry(key).or_insert(next));
        }
        classes
    }

    fn edges(&self, meaning: &[u32]) -> Vec<Edge> {
        let mut edges = Vec::new();
        for from in self.ids() {
            let record = self.record(from);
            let kind = Self::kind(record);
            for (label, &to) in (0..).zip(record) {
                if word(kind, label as usize) == Word::Type {
                    edges.push(Edge { from, label, to: meaning[to as usize] });
                }
            }
        }
        edges
    }

    /// Finds what forward declarations mean; whether there was one to find.
    fn resolve(&self, meaning: &mut [u32], partition: &Partition) -> bool {
        // By name and kind the first definition, and whether all others are the same.
        let mut definitions: HashMap<(u32, Kind), (u32, bool)> = HashMap::new();
        for id in self.ids() {
            let record = self.record(id);
            let Some((kind, true)) = declared(record) else { continue };
            let (first, unique) = definitions.entry((record[0], kind)).or_insert((id, true));
            *unique &= partition.class(*first) == partition.class(id);
        }
        let mut found = false;
        for id in self.ids().filter(|&id| self.record(id)[0] != 0) {
            let record = self.record(id);
            let Some((kind, false)) = declared(record) else { continue };
            if let Some(&(definition, true)) = definitions.get(&(record[0], kind)) {
                found |= meaning[id as usize] != definition;
                meaning[id as usize] = definition;
            }
        }
        found
    }

    /// Drops types and gives the others, and what they refer to, their new ids.
    fn keep(&mut self, ids: &[TypeId], is_kept: impl Fn(u32) -> bool) {
        let mut words = Vec::with_capacity(self.words.len());
        let mut starts = Vec::new();
        for id in self.ids().filter(|&id| is_kept(id)) {
            let record = self.record(id);
            let kind = Self::kind(record);
            starts.push(u32::try_from(words.len()).expect("fewer words than before"));
            words.extend(record.iter().enumerate().map(|(index, &value)| match word(kind, index) {
                Word::Type => ids[value as usize].0,
                Word::Value | Word::Name => value,
            }));
        }
        (self.words, self.starts) = (words, starts);
    }
}

/// What a record declares, and whether it defines it.
fn declared(record: &[u32]) -> Option<(Kind, bool)> {
    let (flag, vlen) = (record[1] >> 31 != 0, record[1] & 0xffff);
    match Builder::kind(record) {
        kind @ (Kind::Struct | Kind::Union) => Some((kind, true)),
        Kind::Fwd => Some((if flag { Kind::Union } else { Kind::Struct }, false)),
        Kind::Enum | Kind::Enum64 => Some((Kind::Enum, vlen > 0)),
        Kind::Void
        | Kind::Int
        | Kind::Ptr
        | Kind::Array
        | Kind::Typedef
        | Kind::Volatile
        | Kind::Const
        | Kind::Restrict
        | Kind::Func
        | Kind::FuncProto
        | Kind::Var
        | Kind::Datasec
        | Kind::Float
        | Kind::DeclTag
        | Kind::TypeTag => None,
    }
}
