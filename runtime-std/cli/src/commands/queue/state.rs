//! The state of a queue in a file, so that it goes on after a restart. The file is replaced as a whole and is on the
//! disk before anything is sent, so a workflow that may have begun is never taken for one that waits.
//!
//! Beside it are a lock, which one running queue holds, and the request of `queue pause` and `queue stop`.

use std::fs::{File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::failure::{CommandResult, Failure};
use crate::output::counted;

/// The form of the file. Another number is refused.
const VERSION: u32 = 1;

/// What is known about one workflow of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stage {
    /// Nothing of it was sent.
    Waiting,
    /// It is being sent, or was sent. It may have begun.
    Sending,
    /// The instrument has reported its begin.
    Running,
    /// It ran to its end.
    Done,
    /// It was refused, did not begin, or ended with errors.
    Failed,
    /// It was sent, and it is not known whether it ran, or how far.
    Unknown,
    /// It was stopped.
    Stopped,
}

impl Stage {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Sending => "sending",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Stopped => "stopped",
        }
    }

    /// Whether it was sent, and its end is not known yet.
    pub(super) const fn is_open(self) -> bool {
        matches!(self, Self::Sending | Self::Running)
    }
}

/// One workflow of the queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) file: PathBuf,
    pub(super) stage: Stage,
    /// What happened, for people.
    #[serde(default)]
    pub(super) note: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) began: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ended: Option<String>,
}

/// A queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Queue {
    version: u32,
    /// The pause between two workflows.
    #[serde(with = "humantime_text")]
    pub(super) pause: std::time::Duration,
    /// Whether the queue ends after a workflow that failed, or about which nothing is known.
    pub(super) stop_on_failure: bool,
    /// Where the stage goes at the end, in mm and degrees; none: it stays.
    pub(super) start: Option<[f64; 4]>,
    pub(super) entries: Vec<Entry>,
}

mod humantime_text {
    use serde::{Deserialize, Deserializer, Serializer};
    use std::time::Duration;

    pub(super) fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&humantime::format_duration(*time))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(from)?;
        humantime::parse_duration(&text).map_err(serde::de::Error::custom)
    }
}

impl Queue {
    pub(super) fn new(files: &[PathBuf], rounds: u32, pause: std::time::Duration) -> Self {
        let entry = |file: &PathBuf| Entry {
            file: file.clone(),
            stage: Stage::Waiting,
            note: String::new(),
            began: None,
            ended: None,
        };
        let entries = (0..rounds).flat_map(|_| files.iter().map(entry)).collect();
        Self { version: VERSION, pause, stop_on_failure: false, start: None, entries }
    }

    /// How many entries are in this stage.
    pub(super) fn count(&self, stage: Stage) -> usize {
        self.entries.iter().filter(|entry| entry.stage == stage).count()
    }

    /// Whether no entry waits or is open.
    pub(super) fn is_over(&self) -> bool {
        self.entries.iter().all(|entry| entry.stage != Stage::Waiting && !entry.stage.is_open())
    }

    /// The totals in one line.
    pub(super) fn totals(&self) -> String {
        let stages = [
            Stage::Done,
            Stage::Running,
            Stage::Sending,
            Stage::Waiting,
            Stage::Failed,
            Stage::Unknown,
            Stage::Stopped,
        ];
        let each = stages.map(|stage| (self.count(stage), stage.name()));
        let each: Vec<_> =
            each.iter().filter(|(n, _)| *n > 0).map(|(n, name)| format!("{n} {name}")).collect();
        format!("{}: {}", counted(self.entries.len(), "workflow"), each.join(", "))
    }
}

/// The files of a queue.
#[derive(Debug, Clone)]
pub(super) struct Files(pub(super) PathBuf);

/// What another process asks of the queue that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    /// Begin no other workflow.
    Pause,
    /// Go on.
    Resume,
    /// End after this workflow.
    Stop,
    /// Stop this workflow, and end.
    StopNow,
}

impl Request {
    const ALL: [(&str, Self); 4] = [
        ("pause", Self::Pause),
        ("resume", Self::Resume),
        ("stop", Self::Stop),
        ("stop now", Self::StopNow),
    ];
}

impl Files {
    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = self.0.clone().into_os_string();
        name.push(ending);
        name.into()
    }

    fn failed(&self, what: &str, error: &dyn std::fmt::Display) -> Failure {
        Failure::usage(format!("{}: cannot {what}: {error}", self.0.display()))
    }

    /// Locks the queue for this process. `None`: another process holds the lock.
    pub(super) fn lock(&self) -> CommandResult<Option<File>> {
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.beside(".lock"))
            .map_err(|error| self.failed("lock it", &error))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(self.failed("lock it", &error)),
        }
    }

    /// Reads the queue. `None`: there is no file.
    pub(super) fn read(&self) -> CommandResult<Option<Queue>> {
        let text = match std::fs::read_to_string(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed("read it", &error)),
        };
        let queue: Queue =
            serde_json::from_str(&text).map_err(|error| self.failed("read it", &error))?;
        if queue.version != VERSION {
            let found = format!("expected version {VERSION}, found {}", queue.version);
            return Err(self.failed("read it", &found));
        }
        Ok(Some(queue))
    }

    /// Replaces the file. When this returns, the new state is on the disk.
    pub(super) fn write(&self, queue: &Queue) -> CommandResult {
        let text =
            serde_json::to_string_pretty(queue).map_err(|error| self.failed("write it", &error))?;
        let new = self.beside(".new");
        let written = File::create(&new).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&new, &self.0)?;
            sync_folder(&self.0)
        });
        written.map_err(|error| self.failed("write it", &error))
    }

    /// Leaves a request for the process that runs the queue.
    pub(super) fn ask(&self, request: Request) -> CommandResult {
        let text =
            Request::ALL.iter().find(|(_, each)| *each == request).map_or("", |(text, _)| text);
        let new = self.beside(".request.new");
        let written = std::fs::write(&new, text)
            .and_then(|()| std::fs::rename(&new, self.beside(".request")));
        written.map_err(|error| self.failed("leave the request", &error))
    }

    /// Takes the request that was left.
    pub(super) fn take_request(&self) -> Option<Request> {
        let path = self.beside(".request");
        let text = std::fs::read_to_string(&path).ok()?;
        let _ = std::fs::remove_file(&path);
        Request::ALL.iter().find(|(known, _)| *known == text).map(|(_, request)| *request)
    }
}

/// Makes a new name of a file last.
#[cfg(unix)]
fn sync_folder(file: &Path) -> std::io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_queue_is_read_as_it_was_written() {
        let folder = std::env::temp_dir().join(format!("flamingo-queue-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let files = Files(folder.join("queue.json"));
        assert_eq!(files.read().unwrap(), None);
        let mut queue = Queue::new(&["a.txt".into(), "b.txt".into()], 2, Duration::from_secs(90));
        queue.entries[1].stage = Stage::Unknown;
        files.write(&queue).unwrap();
        assert_eq!(files.read().unwrap(), Some(queue.clone()));
        assert_eq!(queue.totals(), "4 workflows: 3 waiting, 1 unknown");
        let lock = files.lock().unwrap();
        assert!(lock.is_some() && files.lock().unwrap().is_none(), "one process at a time");
        files.ask(Request::StopNow).unwrap();
        assert_eq!((files.take_request(), files.take_request()), (Some(Request::StopNow), None));
        std::fs::write(&files.0, "{}").unwrap();
        assert!(files.read().is_err());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
