package postgres

import (
	"context"
	"net"
	"syscall"
	"time"
)

// dial connects to the address of the attempt with the socket options that the parameters ask for.
func (a *attempt) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	n := a.cfg.numbers
	d := net.Dialer{KeepAlive: -1}
	if a.target.socket() {
		network, addr = "unix", a.addr
	} else {
		if n.keepalives != 0 {
			// -1 leaves a value to the operating system, as libpq does.
			d.KeepAlive = 0
			d.KeepAliveConfig = net.KeepAliveConfig{Enable: true, Idle: seconds(n.idle), Interval: seconds(n.interval), Count: n.count}
			if n.count <= 0 {
				d.KeepAliveConfig.Count = -1
			}
		}
		if n.userTimeout > 0 {
			d.ControlContext = func(_ context.Context, _, _ string, raw syscall.RawConn) error {
				var err error
				if ctlErr := raw.Control(func(fd uintptr) { err = setUserTimeout(fd, n.userTimeout) }); ctlErr != nil {
					return ctlErr
				}
				return err
			}
		}
	}
	conn, err := d.DialContext(ctx, network, addr)
	if err != nil {
		a.dialErr = err
		return nil, err
	}
	if requirePeer := a.cfg.set["requirepeer"]; requirePeer != "" && a.target.socket() {
		if err := checkPeer(conn, requirePeer); err != nil {
			conn.Close()
			a.stage = "peer"
			return nil, err
		}
	}
	return conn, nil
}

// seconds makes a duration of a number of seconds; none given is -1, which net leaves to the operating system.
func seconds(n int) time.Duration {
	if n <= 0 {
		return -1
	}
	return time.Duration(n) * time.Second
}
