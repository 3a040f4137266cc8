//! Every row of the ISA table, executed on edge values by every engine.

use brolga_tests::edges::{Edge, Edges, all};
use brolga_tests::engines::jit::Jit;
use brolga_tests::engines::kernel::Kernel;
use brolga_tests::engines::object::ObjectEngine;
use brolga_tests::engines::oracle::Oracle;
use brolga_tests::engines::{Engine, Error, Output};

fn programs() -> Vec<Edge> {
    let edges = all().into_iter().filter_map(|(_, edges)| match edges {
        Edges::Programs(programs) => Some(programs),
        Edges::NotRun(_) => None,
    });
    edges.flatten().collect()
}

/// What the oracle makes of each program on each input.
fn expected(edges: &[Edge]) -> Vec<Vec<Output>> {
    let run = |edge: &Edge| {
        let mut instance = Oracle::default().load(&edge.module).expect("the oracle loads everything");
        let outputs = edge.inputs.iter().map(|input| instance.run(0, input));
        outputs.map(|o| o.unwrap_or_else(|e| panic!("{}: {e}", edge.row))).collect()
    };
    edges.iter().map(run).collect()
}

/// Compares an engine with the oracle on all programs.
fn agrees(engine: &dyn Engine) {
    let edges = programs();
    let expected = expected(&edges);
    let modules: Vec<_> = edges.iter().map(|edge| edge.module.clone()).collect();
    let mut failures = Vec::new();
    for ((edge, expected), loaded) in edges.iter().zip(&expected).zip(engine.load_all(&modules)) {
        let mut instance = match loaded {
            Ok(instance) => instance,
            Err(error) => {
                failures.push(format!("{}: {error}", edge.row));
                continue;
            }
        };
        let outputs = edge.inputs.iter().zip(expected).map(|(input, expected)| {
            let found: Result<Output, Error> = instance.run(0, input);
            (found.as_ref() != Ok(expected)).then(|| {
                let operands = &input.data[..16.min(input.data.len())];
                format!("{}: on {operands:x?}\n  {found:x?}\n  not {expected:x?}", edge.row)
            })
        });
        failures.extend(outputs.flatten().take(1));
    }
    let shown = failures.iter().take(20).cloned().collect::<Vec<_>>().join("\n");
    assert!(failures.is_empty(), "{} of {} on {}:\n{shown}", failures.len(), edges.len(), engine.name());
}

#[test]
fn every_row_is_executed_or_says_why_not() {
    let mut not_run = Vec::new();
    for (row, edges) in all() {
        match edges {
            Edges::Programs(programs) => {
                assert!(!programs.is_empty(), "{} has programs", row.spelling);
                for edge in &programs {
                    let used = edge.module.programs[0].insns.iter();
                    let used = used.filter_map(brolga_compiler::isa::table::Row::of).any(|r| r == row);
                    assert!(used, "a program of {} executes it", row.spelling);
                    assert!(!edge.inputs.is_empty(), "{} has inputs", row.spelling);
                }
            }
            Edges::NotRun(_) => not_run.push(row.spelling),
        }
    }
    // Whoever can execute one of these takes it off the list.
    assert_eq!(not_run.len(), 6, "rows that no program executes: {not_run:?}");
}

#[test]
fn the_jit_agrees() {
    agrees(&Jit::default());
}

#[test]
fn the_object_agrees() {
    if let Some(engine) = ObjectEngine::or_skip() {
        agrees(&engine);
    }
}

#[test]
fn the_kernel_agrees() {
    if let Some(kernel) = Kernel::or_skip() {
        agrees(&kernel);
    }
}
