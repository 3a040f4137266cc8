//! Finds in a kernel's type what a local spec leads to, and compares what several candidates say.

use super::similar::Matcher;
use super::spec::{LocalSpec, Step};
use super::value::{self, Value};
use super::{About, Candidate, CoreError, CoreKind, MAX_ACCESS, Relocator, SideIdx, compat};
use crate::btf::essential_name;

impl<'a> Relocator<'a> {
    /// The value of all candidates that match; `None` where none does.
    pub(super) fn agree(
        &mut self,
        local: &LocalSpec<'a>,
        candidates: &[Candidate],
    ) -> Result<Option<(Value, LocalSpec<'a>, SideIdx)>, CoreError> {
        let mut found: Option<(Value, LocalSpec<'a>, SideIdx)> = None;
        let mut matching = Vec::new();
        for &candidate in candidates {
            let Some(spec) = self.find(local, candidate)? else { continue };
            let value = value::of(self.sides[candidate.side.0], local.kind, &spec)?;
            if let Some((first, first_spec, _)) = &found {
                if first_spec.bit_offset != spec.bit_offset {
                    let offset = |spec: &LocalSpec<'_>| format!("bit offset {}", spec.bit_offset);
                    return Err(CoreError::Ambiguous { first: offset(first_spec), other: offset(&spec) });
                }
                if first.value != value.value {
                    let text = |value: &Value| format!("value {}", value.value);
                    return Err(CoreError::Ambiguous { first: text(first), other: text(&value) });
                }
            } else {
                found = Some((value, spec, candidate.side));
            }
            matching.push(candidate);
        }
        if !matching.is_empty() {
            self.candidates.insert(local.root, matching);
        }
        Ok(found)
    }

    /// What a local spec leads to from a candidate.
    fn find(
        &mut self,
        local: &LocalSpec<'a>,
        candidate: Candidate,
    ) -> Result<Option<LocalSpec<'a>>, CoreError> {
        let spec = LocalSpec::from_root(local.kind, candidate.id);
        let side = self.sides[candidate.side.0];
        match (local.kind.about(), local.kind) {
            (About::Type, CoreKind::TypeMatches) => {
                let mut matcher = Matcher {
                    local: self.local,
                    target: (candidate.side, side),
                    composites: &mut self.composites,
                    enumerators: &mut self.enumerators,
                    budget: &mut self.budget,
                };
                Ok(matcher.types(local.root, candidate.id)?.then_some(spec))
            }
            (About::Type, _) => {
                let compatible =
                    compat::types((self.local, local.root), (side, candidate.id), &mut self.budget)?;
                Ok(compatible.then_some(spec))
            }
            (About::Enumerator, _) => self.find_enumerator(local, candidate, spec),
            (About::Field, _) => self.find_field(local, candidate, spec),
        }
    }

    fn find_enumerator(
        &mut self,
        local: &LocalSpec<'a>,
        candidate: Candidate,
        mut spec: LocalSpec<'a>,
    ) -> Result<Option<LocalSpec<'a>>, CoreError> {
        let side = self.sides[candidate.side.0];
        let ty = side.unqualified(candidate.id)?;
        let Some(Step { name: Some(name), .. }) = local.steps.first() else { return Ok(None) };
        if !compat::is_enum(ty.kind()) {
            return Ok(None);
        }
        self.budget.spend_name(name)?;
        let names = self.enumerators.groups((candidate.side, side), ty, &mut self.budget)?;
        let Some(&index) = names.get(essential_name(name)).and_then(|indices| indices.first()) else {
            return Ok(None);
        };
        let Some(enumerator) = ty.enumerator(index) else { return Ok(None) };
        let name = side.btf.str(enumerator.name)?;
        spec.steps.push(Step { ty: ty.id(), index, name: Some(name) });
        spec.raw.push(index);
        Ok(Some(spec))
    }

    fn find_field(
        &mut self,
        local: &LocalSpec<'a>,
        candidate: Candidate,
        mut spec: LocalSpec<'a>,
    ) -> Result<Option<LocalSpec<'a>>, CoreError> {
        let side = self.sides[candidate.side.0];
        let mut at = candidate.id;
        for (place, step) in local.steps.iter().enumerate() {
            self.budget.spend_name(step.name.unwrap_or_default())?;
            let ty = side.unqualified(at)?;
            if let Some(name) = step.name {
                if !compat::is_composite(ty.kind()) {
                    return Ok(None);
                }
                let target = (candidate.side, side);
                let Some(found) = self.composites.member(target, ty, name, &mut self.budget)? else {
                    return Ok(None);
                };
                let Some(member) = self.local.btf.get(step.ty)?.member(step.index) else { return Ok(None) };
                if !compat::fields((self.local, member.ty), (side, found.ty), &mut self.budget)? {
                    return Ok(None);
                }
                spec.raw.extend(found.through.iter().chain([&found.index]));
                spec.bit_offset += found.bit_offset;
                // The name lives as long as the types do, and is the same on both sides.
                spec.steps.push(Step { ty: found.owner, index: found.index, name: Some(name) });
                at = found.ty;
            } else {
                at = ty.id();
                if place > 0 {
                    let Some(array) = ty.array() else { return Ok(None) };
                    if step.index >= array.len && !spec.ends_flexible(side, array.len)? {
                        return Ok(None);
                    }
                    at = side.unqualified(array.element)?.id();
                }
                spec.steps.push(Step { ty: at, index: step.index, name: None });
                spec.raw.push(step.index);
                spec.advance(u64::from(step.index), side.size_of(at)?)?;
            }
            if spec.raw.len() > MAX_ACCESS {
                let limit = u32::try_from(MAX_ACCESS).unwrap_or(u32::MAX);
                return Err(CoreError::Limit { what: "members and elements on the way to a field", limit });
            }
        }
        if spec.bit_offset > u64::from(u32::MAX) {
            return Err(CoreError::Offset);
        }
        Ok(Some(spec))
    }
}
