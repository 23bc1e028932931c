//! What becomes of a prover that dies, lies or hangs. The process is real; a shell plays the prover.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sidereal_block_prover::{MAX_ENCODED_BYTES, Stage};
use sidereal_prover_worker::child::{EVENT_MARK, Event, Verdict};
use sidereal_prover_worker::{
    ChildExecutor, ChildProgram, ExecuteError, Executed, Executor, Figures, Target,
};
use starknet_types_core::felt::Felt;

fn shell(script: &str) -> ChildExecutor {
    let program = ChildProgram {
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), script.into()],
        environment: Vec::new(),
    };
    ChildExecutor::new(program, None)
}

/// Says an event as the prover does.
fn say(event: &Event) -> String {
    format!("echo '{EVENT_MARK}{}'", serde_json::to_string(event).unwrap())
}

fn done() -> Event {
    Event::Done { figures: Figures { cairo_steps: 42, ..Figures::default() } }
}

async fn execute(executor: &ChildExecutor) -> (Result<Executed, ExecuteError>, Vec<Stage>) {
    let stages = Mutex::new(Vec::new());
    let enter = |stage| stages.lock().unwrap().push(stage);
    let target = Target::Block { number: 1, hash: Felt::ONE };
    let result = executor.execute(target, vec![Bytes::from_static(b"witness")], &enter).await;
    (result, stages.into_inner().unwrap())
}

/// A shell that answers every request: the proof is the witness and the process id.
fn echo_prover() -> ChildExecutor {
    shell(&format!(
        r#"while read -r line; do
             witness=$(echo "$line" | sed 's/.*"inputs":\["\([^"]*\)".*/\1/')
             proof=$(echo "$line" | sed 's/.*"proof":"\([^"]*\)".*/\1/')
             echo "noise on standard output"
             {}
             cat "$witness" > "$proof"; printf ' by %s' $$ >> "$proof"
             {}
           done"#,
        say(&Event::Stage { stage: Stage::Prove }),
        say(&done()),
    ))
}

#[tokio::test]
async fn a_proof_comes_back_with_its_stages_and_the_process_is_kept() {
    let executor = echo_prover();
    let (first, stages) = execute(&executor).await;
    let first = first.unwrap();
    assert_eq!(first.figures.cairo_steps, 42);
    assert_eq!(stages, [Stage::Prove]);
    assert!(first.proof.starts_with(b"witness by "));
    let (second, _) = execute(&executor).await;
    assert_eq!(second.unwrap().proof, first.proof, "another process made the second proof");
}

#[tokio::test]
async fn a_process_that_died_while_idle_is_replaced() {
    let executor = echo_prover();
    let (first, _) = execute(&executor).await;
    let first = first.unwrap().proof;
    let pid = String::from_utf8(first.to_vec()).unwrap().replace("witness by ", "");
    assert!(std::process::Command::new("kill").args(["-9", &pid]).status().unwrap().success());
    let begun = Instant::now();
    // A zombie until we look at it: it has no program any more.
    while std::fs::read_link(format!("/proc/{pid}/exe")).is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(20), "process {pid} lives on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (second, _) = execute(&executor).await;
    assert_ne!(second.unwrap().proof, first);
}

#[tokio::test]
async fn a_killed_prover_is_a_failure_with_signal_stage_and_last_words() {
    let executor = shell(&format!(
        "read -r line; {}; echo 'allocating 9 GB' >&2; kill -9 $$",
        say(&Event::Stage { stage: Stage::Prove })
    ));
    let (result, _) = execute(&executor).await;
    let error = result.unwrap_err();
    assert!(error.is_retryable());
    let text = error.to_string();
    assert!(text.contains("signal 9"), "{text}");
    assert!(text.contains("memory runs out"), "{text}");
    assert!(text.contains("during prove"), "{text}");
    assert!(text.contains("allocating 9 GB"), "{text}");
}

#[tokio::test]
async fn an_exit_code_is_named_and_last_words_are_bounded() {
    let executor = shell(
        "read -r line; i=0; while [ $i -lt 5000 ]; do echo \"line $i $(printf 'x%.0s' 1 2 3 4 5 6 7 8)\" >&2; \
         i=$((i+1)); done; exit 101",
    );
    let (result, _) = execute(&executor).await;
    let text = result.unwrap_err().to_string();
    assert!(text.contains("exit code 101"), "{text}");
    assert!(text.contains("line 4999"), "the very last line is missing: {text}");
    assert!(text.len() < 4_000, "{} bytes", text.len());
}

#[tokio::test]
async fn a_program_that_is_missing_is_named() {
    let program = ChildProgram::prover("/nowhere/sidereal".into(), 1, 0);
    let (result, _) = execute(&ChildExecutor::new(program, None)).await;
    assert!(matches!(result, Err(ExecuteError::Start { .. })));
}

/// `nice` starts in place of the program, and says with its exit code that there is none.
#[tokio::test]
async fn a_nice_program_that_is_missing_is_named_too() {
    let program = ChildProgram::prover("/nowhere/sidereal".into(), 1, 5);
    let (result, _) = execute(&ChildExecutor::new(program, None)).await;
    let text = result.unwrap_err().to_string();
    assert!(text.contains("exit code 127") && text.contains("/nowhere/sidereal"), "{text}");
}

#[tokio::test]
async fn a_refusal_keeps_its_cause_and_its_kind() {
    let failed =
        Event::Failed { cause: "state diff differs".to_owned(), verdict: Verdict::Disputed };
    // The second time the same process says that it works after all.
    let executor = shell(&format!(
        r#"read -r line; {}; read -r line
           proof=$(echo "$line" | sed 's/.*"proof":"\([^"]*\)".*/\1/'); echo again > "$proof"; {}; read -r line"#,
        say(&failed),
        say(&done())
    ));
    let (result, _) = execute(&executor).await;
    let error = result.unwrap_err();
    assert!(!error.is_retryable() && error.is_dispute());
    assert!(error.to_string().contains("state diff differs"));
    let (result, _) = execute(&executor).await;
    assert_eq!(result.unwrap().proof, Bytes::from("again\n"), "a process that refuses is in order");
}

#[tokio::test]
async fn nonsense_is_refused() {
    let executor = shell(&format!("read -r line; echo '{EVENT_MARK}{{\"event\":\"other\"}}'"));
    let (result, _) = execute(&executor).await;
    assert!(matches!(result, Err(ExecuteError::Nonsense { .. })));
}

#[tokio::test]
async fn a_line_without_end_does_not_fill_our_memory() {
    let executor = shell("read -r line; head -c 3000000 /dev/zero | tr '\\0' 'a'; exit 3");
    let (result, _) = execute(&executor).await;
    assert!(matches!(result, Err(ExecuteError::Died { .. })));
}

#[tokio::test]
async fn a_proof_that_nobody_would_read_is_refused() {
    let executor = shell(&format!(
        r#"read -r line; proof=$(echo "$line" | sed 's/.*"proof":"\([^"]*\)".*/\1/')
           head -c {} /dev/zero > "$proof"; {}"#,
        MAX_ENCODED_BYTES + 1,
        say(&done())
    ));
    let (result, _) = execute(&executor).await;
    assert!(matches!(result, Err(ExecuteError::TooLong { .. })), "{result:?}");
}

/// Giving a job up (lost lease, time limit, shutdown) is dropping the future: the process must go with it.
#[tokio::test]
async fn dropping_the_work_kills_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let pid_file = folder.path().join("pid");
    let executor =
        shell(&format!("read -r line; echo $$ > {}; exec sleep 1000", pid_file.display()));
    let begun = Instant::now();
    let running = |pid: &str| std::path::Path::new(&format!("/proc/{pid}/exe")).exists();
    let pid = tokio::select! {
        _ = execute(&executor) => panic!("it sleeps"),
        pid = async {
            loop {
                let pid = std::fs::read_to_string(&pid_file).unwrap_or_default();
                if pid.ends_with('\n') {
                    break pid.trim().to_owned();
                }
                assert!(begun.elapsed() < Duration::from_secs(20), "the process never started");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        } => pid,
    };
    while running(&pid) {
        assert!(begun.elapsed() < Duration::from_secs(30), "process {pid} lives on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
