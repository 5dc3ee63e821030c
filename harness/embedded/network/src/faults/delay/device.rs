//! The interface of a delay (TUN), and the routes that lead to it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;

use nix::libc;

use super::PREFIX;
use crate::error::{Doing, Result};
use crate::netlink::RouteSocket;

const CONTROL: &str = "/dev/net/tun";

/// Marks, and with them routing tables, of detours; the kernel's own tables have lower numbers.
const FIRST_MARK: u32 = 0x4400_0000;

/// The kernel's end of it vanishes when this is dropped.
pub struct Device(File);

nix::ioctl_write_ptr_bad!(attach, libc::TUNSETIFF, libc::ifreq);

pub fn name(number: u16) -> String {
    format!("{PREFIX}{number}")
}

pub fn mark(number: u16) -> u32 {
    FIRST_MARK + u32::from(number)
}

impl Device {
    /// Makes the interface in the namespace of the calling thread, and routes to it what has its mark.
    pub fn make(number: u16) -> Result<Self> {
        let doing = || format!("make an interface for delayed packets ({CONTROL})");
        let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(CONTROL);
        let file = file.doing(doing)?;
        let name = name(number);
        let mut request = libc::ifreq {
            ifr_name: [0; libc::IFNAMSIZ],
            ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_flags: (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short },
        };
        for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
            *to = from as libc::c_char;
        }
        attach_to(&file, &request).doing(doing)?;
        let index = nix::net::if_::if_nametoindex(name.as_str()).doing(doing)?;
        let mut socket = RouteSocket::open()?;
        socket.set_up(index)?;
        socket.route_all(index, mark(number))?;
        socket.route_marked(mark(number), mark(number))?;
        Ok(Self(file))
    }

    /// One whole packet.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        (&self.0).read(buffer)
    }

    pub fn write(&self, packet: &[u8]) -> io::Result<usize> {
        (&self.0).write(packet)
    }
}

impl AsRawFd for Device {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

#[allow(unsafe_code)]
fn attach_to(control: &File, request: &libc::ifreq) -> nix::Result<i32> {
    // SAFETY: the descriptor is open for as long as it is borrowed, and the kernel only reads a whole `ifreq`.
    unsafe { attach(control.as_raw_fd(), request) }
}

/// Ends the routing of marked packets in the namespace of the calling thread. The other route goes with the interface.
pub fn unroute(number: u16) -> Result<()> {
    RouteSocket::open()?.unroute_marked(mark(number), mark(number))
}
