//! The binary at a terminal.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::commands::Cli;

/// How it ended, and what was seen, with what was typed.
pub(crate) struct Seen {
    pub(crate) code: Option<i32>,
    pub(crate) text: String,
}

impl Seen {
    /// Whether this was to be read, in whatever lines.
    pub(crate) fn says(&self, text: &str) -> bool {
        self.text.split_whitespace().collect::<Vec<_>>().join(" ").contains(text)
    }
}

impl Cli {
    /// Runs the binary at a terminal of 80 columns, with this typed.
    pub(crate) async fn at_terminal(&self, arguments: &[&str], typed: &str) -> anyhow::Result<Seen> {
        let (mut screen, keyboard_and_screen) = open()?;
        let mut command = self.command(arguments);
        command.env("TERM", "xterm");
        let ends = [keyboard_and_screen.try_clone()?, keyboard_and_screen.try_clone()?, keyboard_and_screen];
        let [stdin, stdout, stderr] = ends.map(OwnedFd::from);
        command.stdin(stdin).stdout(stdout).stderr(stderr);
        let mut child = command.spawn()?;
        // It holds the terminal open, and reading would never end.
        drop(command);
        screen.write_all(typed.as_bytes())?;
        let text = tokio::task::spawn_blocking(move || read(&mut screen));
        let code = tokio::time::timeout(Duration::from_mins(1), child.wait()).await??.code();
        Ok(Seen { code, text: text.await? })
    }
}

fn open() -> anyhow::Result<(File, File)> {
    let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    grantpt(&screen)?;
    unlockpt(&screen)?;
    tcsetwinsize(&screen, Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 })?;
    let name = ptsname(&screen, Vec::new())?;
    let other = File::options().read(true).write(true).open(name.to_str()?)?;
    Ok((File::from(screen), other))
}

/// Until nobody has the other end, which is an error.
fn read(screen: &mut File) -> String {
    let (mut all, mut part) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = screen.read(&mut part) {
        all.extend_from_slice(part.get(..count).unwrap_or_default());
    }
    String::from_utf8_lossy(&all).replace("\r\n", "\n")
}
