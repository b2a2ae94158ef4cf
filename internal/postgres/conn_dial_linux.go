package postgres

import (
	"fmt"
	"net"
	"os/user"
	"strconv"

	"golang.org/x/sys/unix"
)

// setUserTimeout sets how long sent data may stay unacknowledged, in milliseconds.
func setUserTimeout(fd uintptr, ms int) error {
	return unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, ms)
}

// checkPeer makes sure that the server on a Unix socket runs as the operating system's user called name.
func checkPeer(conn net.Conn, name string) error {
	u, ok := conn.(*net.UnixConn)
	if !ok {
		return nil
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return fmt.Errorf("could not get peer credentials: %w", err)
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) { cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return fmt.Errorf("could not get peer credentials: %w", err)
	}
	if credErr != nil {
		return fmt.Errorf("could not get peer credentials: %w", credErr)
	}
	peer, err := user.LookupId(strconv.Itoa(int(cred.Uid)))
	if err != nil {
		return fmt.Errorf("could not look up local user ID %d: %w", cred.Uid, err)
	}
	if peer.Username != name {
		return fmt.Errorf("requirepeer specifies %q, but actual peer user name is %q", name, peer.Username)
	}
	return nil
}
