//! What a register may hold, as far as pointers into stack frames go.
//!
//! Small sets of offsets are kept, since code that paths share often works on one of a few slots. Where knowledge is
//! lost, it is lost upwards: to "any offset", and to all arguments from which a pointer may come.

use crate::isa::Reg;
use crate::program::{MapId, SubprogId};

/// What all registers may hold.
pub(super) type Regs = [Abs; Reg::COUNT];

/// What a register may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Abs {
    /// No pointer into a frame.
    Other,
    /// A number, as it was written.
    Const(i32),
    /// A map.
    Map(MapId),
    /// A function.
    Func(SubprogId),
    /// A pointer at one of these offsets from `r10`.
    Frame(Offsets),
    /// What was handed over as an argument.
    Arg {
        /// Which: 0 is that in `r1`.
        index: u8,
        /// By how much it was moved.
        off: i32,
        /// Whether it may be no pointer into a frame at all.
        perhaps: bool,
    },
    /// Perhaps a pointer at any offset.
    Any {
        /// Into the own frame.
        own: bool,
        /// Derived from, or loaded through, these arguments.
        args: u8,
    },
}

impl Abs {
    /// Nothing is known.
    pub(super) const ANYTHING: Self = Self::Any { own: true, args: ALL_ARGS };

    pub(super) fn any(own: bool, args: u8) -> Self {
        if own || args != 0 { Self::Any { own, args } } else { Self::Other }
    }

    pub(super) fn join(self, other: Self) -> Self {
        if self == other {
            return self;
        }
        if let (Self::Frame(a), Self::Frame(b)) = (self, other)
            && let Some(both) = a.union(b)
        {
            return Self::Frame(both);
        }
        if let (Self::Arg { index, off, .. }, Self::Arg { index: i, off: o, .. }) = (self, other)
            && (index, off) == (i, o)
        {
            return Self::Arg { index, off, perhaps: true };
        }
        // Nothing that is read through what is no such pointer is in a frame.
        match (self, other) {
            (known, nothing) | (nothing, known) if !nothing.may_point() && nothing.args() == 0 => {
                known.perhaps()
            }
            _ => Self::any(self.may_point() || other.may_point(), self.args() | other.args()),
        }
    }

    /// The same, where it may also be no pointer into a frame.
    pub(super) fn perhaps(self) -> Self {
        match self {
            Self::Frame(offs) => Self::Frame(offs.perhaps()),
            Self::Arg { index, off, .. } => Self::Arg { index, off, perhaps: true },
            Self::Any { .. } => self,
            Self::Other | Self::Const(_) | Self::Map(_) | Self::Func(_) => Self::Other,
        }
    }

    /// Whether it may point into the own frame.
    pub(super) fn may_point(self) -> bool {
        matches!(self, Self::Frame(_) | Self::Any { own: true, .. })
    }

    /// The arguments through which what it points to may have been reached.
    pub(super) fn args(self) -> u8 {
        match self {
            Self::Arg { index, .. } => 1 << index,
            Self::Any { args, .. } => args,
            Self::Other | Self::Const(_) | Self::Map(_) | Self::Func(_) | Self::Frame(_) => 0,
        }
    }

    /// The same pointer, moved anywhere.
    pub(super) fn somewhere(self) -> Self {
        Self::any(self.may_point(), self.args())
    }

    pub(super) fn add(self, other: Self) -> Self {
        let moved = |off: i32, by: i32| off.checked_add(by).filter(|off| off.unsigned_abs() <= MAX_DISTANCE);
        match (self, other) {
            (Self::Frame(offs), Self::Const(by)) | (Self::Const(by), Self::Frame(offs)) => {
                offs.moved(by).map_or(self.join(other).somewhere(), Self::Frame)
            }
            (Self::Arg { index, off, perhaps }, Self::Const(by))
            | (Self::Const(by), Self::Arg { index, off, perhaps }) => {
                let moved = moved(off, by).map(|off| Self::Arg { index, off, perhaps });
                moved.unwrap_or(self.join(other).somewhere())
            }
            _ => self.join(other).somewhere(),
        }
    }
}

/// Up to four offsets from `r10`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offsets {
    count: u8,
    /// Whether it may be no pointer into the frame at all: it comes from elsewhere on other paths, or was in the same
    /// slot at other times.
    perhaps: bool,
    /// The first `count` are they, in order; the others are 0.
    all: [i16; 4],
}

impl Offsets {
    /// `r10` itself.
    pub(super) const START: Self = Self { count: 1, perhaps: false, all: [0; 4] };

    pub(super) fn iter(&self) -> impl Iterator<Item = i32> + use<'_> {
        self.all[..self.count.into()].iter().map(|off| i32::from(*off))
    }

    /// Whether it certainly is this one place.
    pub(super) fn is_certain(&self) -> bool {
        self.count == 1 && !self.perhaps
    }

    /// The same, where it may also be something else.
    pub(super) fn perhaps(self) -> Self {
        Self { perhaps: true, ..self }
    }

    /// All of both; `None` where these are too many.
    pub(super) fn union(self, other: Self) -> Option<Self> {
        let mut both = Self { perhaps: self.perhaps || other.perhaps, ..self };
        for off in &other.all[..other.count.into()] {
            let known = &both.all[..both.count.into()];
            if let Err(at) = known.binary_search(off) {
                let end = usize::from(both.count);
                both.all.get_mut(at..=end)?.rotate_right(1);
                both.all[at] = *off;
                both.count += 1;
            }
        }
        Some(both)
    }

    /// All moved by a number; `None` where one gets too far.
    pub(super) fn moved(mut self, by: i32) -> Option<Self> {
        for off in &mut self.all[..self.count.into()] {
            *off = i16::try_from(i32::from(*off).checked_add(by)?).ok()?;
        }
        Some(self)
    }
}

/// All five arguments.
const ALL_ARGS: u8 = 0b1_1111;

/// How far pointers of known distance are moved; beyond that it is forgotten.
const MAX_DISTANCE: u32 = 1 << 20;
