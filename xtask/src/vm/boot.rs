//! Starts a guest, passes on what its command prints, and ends it.

use std::{
    env,
    fs::{self, File},
    io::{BufRead as _, BufReader, Read, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    vm::{initramfs, kernel::Kernel},
    workspace,
};

/// One command in one guest.
pub(super) struct Guest<'a> {
    pub(super) kernel: &'a Kernel,
    pub(super) accel: Accel<'a>,
    pub(super) cpu: &'a str,
    pub(super) mebibytes: u32,
    pub(super) limit: Duration,
}

/// What the guest's clock goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accel<'a> {
    /// Instructions, a thousand million of them to a second, however long the host takes for them.
    Icount(&'a str),
    /// The host's time.
    Tcg,
}

/// One instruction each nanosecond; when all wait, the clock goes at once to what they wait for.
pub(super) const ICOUNT: &str = "shift=0,sleep=off";

/// Boots quickest: it has none of the extensions that Linux tries out first.
pub(super) const CPU: &str = "Westmere";

pub(super) const MEBIBYTES: u32 = 1024;

/// As `timeout` has it.
const TOO_LATE: u8 = 124;

impl Guest<'_> {
    /// The command's status. What it prints goes to `out`, line by line.
    pub(super) fn run(&self, command: &[String], out: &mut dyn Write) -> Result<u8> {
        let start = Instant::now();
        sweep();
        let prefix = format!("{PREFIX}{}-", std::process::id());
        let work = tempfile::Builder::new().prefix(&prefix).tempdir()?;
        let end = format!("\u{1d}{}", work.path().display());
        let kept = workspace::target().join("lab");
        fs::create_dir_all(&kept).with_context(|| format!("cannot make {}", kept.display()))?;
        let initramfs = work.path().join("initramfs.img");
        let script = script(command, &env::current_dir()?, &end);
        initramfs::write(&initramfs, work.path(), self.kernel, &kept, &script)?;
        let console = work.path().join("console");

        let mut machine = self.machine(&initramfs, &console, &kept);
        let mut machine = Machine(machine.spawn().context("cannot start QEMU")?);
        let port = machine.0.stdout.take().context("its output is piped")?;
        let deadline = start + self.limit;
        match pass_on(port, &end, deadline, out)? {
            Said::Status(status) => Ok(status),
            Said::NothingMore => {
                bail!("the guest ended before its command did; {}", last_words(&console))
            }
            Said::TooLittle => {
                let seconds = self.limit.as_secs();
                writeln!(out, "the command did not end within {seconds} s; the guest is ended")?;
                Ok(TOO_LATE)
            }
        }
    }

    fn machine(&self, initramfs: &Path, console: &Path, kept: &Path) -> Command {
        // Nothing of a guest outlives us.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", "qemu-system-x86_64"]);
        command.args(["-machine", "q35,usb=off", "-nodefaults", "-no-user-config", "-no-reboot"]);
        command.args(["-display", "none", "-smp", "1", "-cpu", self.cpu]);
        command.args(["-m", &self.mebibytes.to_string()]);
        match self.accel {
            Accel::Icount(how) => command.args(["-accel", "tcg", "-icount", how]),
            Accel::Tcg => command.args(["-accel", "tcg,thread=single"]),
        };
        command.arg("-kernel").arg(self.kernel.folder.join("vmlinux"));
        command.arg("-initrd").arg(initramfs).args(["-append", KERNEL_ARGUMENTS]);
        command.args(["-serial", &format!("file:{}", console.display())]);
        // Not `stdio`: that one is closed, for writing too, when there is nothing to be read.
        command.args(["-device", "virtio-serial-pci", "-chardev", "file,id=port,path=/dev/stdout"]);
        command.args(["-device", "virtserialport,chardev=port,nr=1"]);
        command.args(["-object", "rng-random,id=random,filename=/dev/urandom"]);
        command.args(["-device", "virtio-rng-pci,rng=random"]);
        for (name, path, options) in [
            ("host", Path::new("/"), "readonly=on,multidevs=remap"),
            ("kept", kept, "multidevs=remap"),
        ] {
            let path = path.display();
            let share = format!("local,id={name},path={path},security_model=none,{options}");
            command.args(["-fsdev", &share, "-device"]);
            command.arg(format!("virtio-9p-pci,fsdev={name},mount_tag={name}"));
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command
    }
}

/// Removes what was left by those who were ended in the middle.
fn sweep() {
    let Ok(there) = fs::read_dir(env::temp_dir()) else { return };
    for entry in there.flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next());
        let is_left = pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists());
        if is_left && let Err(error) = fs::remove_dir_all(entry.path()) {
            println!("cannot remove {}: {error}", entry.path().display());
        }
    }
}

/// Of folders of guests; then comes the process that made them.
const PREFIX: &str = "kennet-vm-";

/// A process that ends with us.
struct Machine(Child);

impl Drop for Machine {
    fn drop(&mut self) {
        let _gone_already_is_fine = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// How the guest's words ended.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Status(u8),
    NothingMore,
    TooLittle,
}

/// Passes lines on until one ends with `end` and a status.
fn pass_on(
    port: impl Read + Send + 'static,
    end: &str,
    deadline: Instant,
    out: &mut dyn Write,
) -> Result<Said> {
    let (sender, lines) = mpsc::sync_channel(LINES);
    thread::Builder::new().name("guest".into()).spawn(move || {
        let mut port = BufReader::new(port);
        loop {
            let mut line = Vec::new();
            // An error is an end, too: then nothing more comes.
            if !matches!(port.read_until(b'\n', &mut line), Ok(1..)) || sender.send(line).is_err() {
                return;
            }
        }
    })?;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match lines.recv_timeout(left) {
            Ok(line) => {
                let (text, status) = split(&line, end);
                out.write_all(text)?;
                out.flush()?;
                if let Some(status) = status {
                    return Ok(Said::Status(status));
                }
            }
            Err(mpsc::RecvTimeoutError::Timeout) => return Ok(Said::TooLittle),
            Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(Said::NothingMore),
        }
    }
}

/// What the command printed, and its status when this was its last line.
fn split<'a>(line: &'a [u8], end: &str) -> (&'a [u8], Option<u8>) {
    let end = end.as_bytes();
    let Some(at) = line.windows(end.len()).position(|window| window == end) else {
        return (line, None);
    };
    let (text, rest) = line.split_at(at);
    let status = rest.get(end.len()..).unwrap_or_default();
    let status = String::from_utf8_lossy(status).trim().parse();
    (text, status.ok())
}

/// Runs `command` where we are, and says its status. The guest is ended from outside.
fn script(command: &[String], folder: &Path, end: &str) -> String {
    let words: Vec<String> = command.iter().map(|word| quoted(word)).collect();
    let home = env::var("HOME").unwrap_or_else(|_| "/root".to_owned());
    format!(
        "export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n\
         export HOME={} TMPDIR=/run/tmp TERM=dumb {INSIDE}=1\n\
         (cd {} && exec {})\nprintf '%s %d\\n' {} $?\nexec sleep infinity\n",
        quoted(&home),
        quoted(&folder.display().to_string()),
        words.join(" "),
        quoted(end),
    )
}

/// As one word of a shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn last_words(console: &Path) -> String {
    let text = File::open(console).and_then(|mut file| {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    });
    let text = text.unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(40);
    format!("its console said:\n  {}", lines.get(from..).unwrap_or(&[]).join("\n  "))
}

/// Set in a guest, for those who must not run elsewhere.
pub const INSIDE: &str = "KENNET_VM";

/// Unread lines of a guest.
const LINES: usize = 256;

/// A panic ends the guest. Tests of the kernel's own, and defences against what nobody here does,
/// take time.
const KERNEL_ARGUMENTS: &str = "console=ttyS0 quiet loglevel=4 panic=-1 rdinit=/init \
     mitigations=off nokaslr cryptomgr.notests=1 random.trust_cpu=on";
