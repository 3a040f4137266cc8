//! Who uses a value.

use super::function::{Block, Function, Inst, Value};

/// A place that uses a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    /// An operand of an instruction.
    Inst(Inst),
    /// An operand of a block's terminator, or an argument of one of its edges.
    End(Block),
}

/// All uses of a function, as they were when this was made.
#[derive(Clone, Debug)]
pub struct Uses {
    starts: Vec<u32>,
    users: Vec<User>,
}

impl Uses {
    /// Collects all uses in time linear in the function.
    #[must_use]
    pub fn new(function: &Function) -> Self {
        let mut starts = vec![0u32; function.value_capacity() + 1];
        each_use(function, |value, _| starts[value.index() + 1] += 1);
        for index in 1..starts.len() {
            starts[index] += starts[index - 1];
        }
        let mut next = starts.clone();
        let mut users = vec![User::End(Block(0)); starts.last().map_or(0, |end| *end as usize)];
        each_use(function, |value, user| {
            let at = &mut next[value.index()];
            users[*at as usize] = user;
            *at += 1;
        });
        Self { starts, users }
    }

    /// The users of a value; one that uses it twice is listed twice.
    #[must_use]
    pub fn of(&self, value: Value) -> &[User] {
        let index = value.index();
        if index + 1 >= self.starts.len() {
            return &[]; // made later
        }
        &self.users[self.starts[index] as usize..self.starts[index + 1] as usize]
    }

    /// How often a value is used.
    #[must_use]
    pub fn count(&self, value: Value) -> usize {
        self.of(value).len()
    }
}

fn each_use(function: &Function, mut f: impl FnMut(Value, User)) {
    for &block in &function.layout {
        for &inst in &function.block(block).insts {
            function.inst(inst).op.for_each_operand(|value| f(value, User::Inst(inst)));
        }
        function.block(block).end.for_each_operand(|value| f(value, User::End(block)));
    }
}
