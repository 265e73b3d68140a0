//! What others are told while a queue runs: a command, the desktop, or a web server. A notice never stops or delays the
//! queue: notices wait in a bounded list, each has a time limit, and what fails is reported.

use std::time::Duration;

use async_channel::{Receiver, Sender, TrySendError};
use clap::Args;
use serde::Serialize;
use smol::Timer;
use smol::future::or;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::process::{Command, Stdio};

use crate::failure::{CommandResult, Failure, note};

/// The time limit of a notice.
const LIMIT: Duration = Duration::from_secs(30);
/// Notices that may wait.
const WAITING: usize = 256;

#[derive(Debug, Args)]
pub(super) struct NoticeArgs {
    /// Run this command at each event, through the shell
    ///
    /// Its environment has FLAMINGO_EVENT (queue-started, started, done, failed, unknown, stopped, connection-lost,
    /// connected, paused, resumed, queue-ended), FLAMINGO_WORKFLOW, FLAMINGO_NUMBER, FLAMINGO_TOTAL and
    /// FLAMINGO_NOTE. It may take 30 s. If it fails, the queue reports that and goes on.
    #[arg(long, value_name = "CMD")]
    on_event: Option<String>,

    /// Tell `desktop` (through notify-send), or POST each event as JSON to http://HOST:PORT/PATH; may be repeated
    #[arg(long, value_name = "desktop|URL", value_parser = target)]
    notify: Vec<Target>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    Desktop,
    Web { host: String, path: String },
}

fn target(text: &str) -> Result<Target, String> {
    if text == "desktop" {
        return Ok(Target::Desktop);
    }
    if text.starts_with("https:") {
        return Err("expected desktop or an address with http:, found https; use --on-event 'curl …' for it".to_owned());
    }
    let rest =
        text.strip_prefix("http://").filter(|rest| !rest.is_empty() && !rest.starts_with('/'));
    let rest = rest
        .ok_or_else(|| format!("expected desktop, or http://HOST[:PORT]/PATH, found {text:?}"))?;
    let (host, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    if path.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(format!("expected an address without spaces, found {text:?}"));
    }
    let host = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
    Ok(Target::Web { host, path: path.to_owned() })
}

/// Something that others are told.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Notice {
    pub(super) event: &'static str,
    pub(super) workflow: String,
    pub(super) number: usize,
    pub(super) total: usize,
    pub(super) note: String,
}

/// The task that tells others.
#[derive(Debug)]
pub(super) struct Notices {
    sender: Option<Sender<Notice>>,
    task: smol::Task<()>,
    left_out: u64,
}

impl NoticeArgs {
    pub(super) fn open(self) -> CommandResult<Notices> {
        if self.on_event.as_ref().is_some_and(|command| command.trim().is_empty()) {
            return Err(Failure::usage("--on-event: expected a command, found nothing"));
        }
        let (sender, receiver) = async_channel::bounded(WAITING);
        let task = smol::spawn(tell_all(receiver, self.on_event, self.notify));
        Ok(Notices { sender: Some(sender), task, left_out: 0 })
    }
}

impl Notices {
    pub(super) fn tell(&mut self, notice: Notice) {
        if let Some(Err(TrySendError::Full(_))) = self.sender.as_ref().map(|to| to.try_send(notice))
        {
            self.left_out += 1;
        }
    }

    /// Waits until all notices are told.
    pub(super) async fn close(mut self) {
        self.sender = None;
        (&mut self.task).await;
        if self.left_out > 0 {
            note(&format!("warning: {} notices were left out: they took too long", self.left_out));
        }
    }
}

async fn tell_all(notices: Receiver<Notice>, command: Option<String>, targets: Vec<Target>) {
    while let Ok(notice) = notices.recv().await {
        if let Some(command) = &command {
            let mut shell = Command::new("sh");
            shell.args(["-c", command]);
            warn("--on-event", run(&mut shell, &notice).await);
        }
        for target in &targets {
            let told = match target {
                Target::Desktop => {
                    let mut program = Command::new("notify-send");
                    program.args(["flamingo queue", &sentence(&notice)]);
                    run(&mut program, &notice).await
                }
                Target::Web { host, path } => within(post(host, path, &notice)).await,
            };
            warn("--notify", told);
        }
    }
}

fn sentence(notice: &Notice) -> String {
    let Notice { event, workflow, number, total, note } = notice;
    let text = format!("{event}: {number} of {total} {workflow} {note}");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn warn(option: &str, told: Result<(), String>) {
    if let Err(why) = told {
        note(&format!("warning: {option}: {why}; the queue goes on"));
    }
}

async fn within(work: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    let late = async {
        Timer::after(LIMIT).await;
        Err(format!("it takes longer than {} s", LIMIT.as_secs()))
    };
    or(work, late).await
}

/// Runs a program with the notice in its environment. It is killed at the time limit.
async fn run(program: &mut Command, notice: &Notice) -> Result<(), String> {
    let child = program
        .env("FLAMINGO_EVENT", notice.event)
        .env("FLAMINGO_WORKFLOW", &notice.workflow)
        .env("FLAMINGO_NUMBER", notice.number.to_string())
        .env("FLAMINGO_TOTAL", notice.total.to_string())
        .env("FLAMINGO_NOTE", &notice.note)
        .stdin(Stdio::null())
        // Stdout belongs to the queue.
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let mut child = child.map_err(|error| format!("cannot run it: {error}"))?;
    within(async move {
        match child.status().await {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("it ended with {status}")),
            Err(error) => Err(error.to_string()),
        }
    })
    .await
}

/// Sends the notice as JSON to a web server.
async fn post(host: &str, path: &str, notice: &Notice) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{host}: {error}");
    let body = serde_json::to_string(notice).map_err(|error| error.to_string())?;
    let mut stream = smol::net::TcpStream::connect(host).await.map_err(failed)?;
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.map_err(failed)?;
    stream.write_all(body.as_bytes()).await.map_err(failed)?;
    let mut answer = Vec::new();
    stream.take(1024).read_to_end(&mut answer).await.map_err(failed)?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.split_whitespace().nth(1).unwrap_or("nothing");
    if status.starts_with('2') { Ok(()) } else { Err(format!("{host} answered {status}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_the_desktop_or_an_http_address() {
        let web = |host: &str, path: &str| {
            Ok(Target::Web { host: host.to_owned(), path: path.to_owned() })
        };
        assert_eq!(target("desktop"), Ok(Target::Desktop));
        assert_eq!(target("http://lab/hook?x=1"), web("lab:80", "/hook?x=1"));
        assert_eq!(target("http://10.0.0.2:8080"), web("10.0.0.2:8080", "/"));
        for wrong in [
            "https://lab/hook",
            "lab",
            "http://",
            "http:///x",
            "http://lab/a b",
            "http://lab/a\r\nX: y",
        ] {
            assert!(target(wrong).is_err(), "{wrong}");
        }
    }
}
