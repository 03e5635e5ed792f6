package admin_test

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"rtd/host/admin"
)

// The kernel says who connects, whatever they say themselves.
func TestPeerIsNamed(t *testing.T) {
	p := &plant{}
	server, socket, _ := serve(t, p, admin.NewLog())
	defer shutdown(t, server)
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	c := connect(t, admin.Target{Paths: []string{socket}, By: "somebody else"})
	if _, err := c.Deploy(t.Context(), "chat", []byte("new")); err != nil || p.last() != "deploy chat: 3 bytes by "+me.Username {
		t.Errorf("asked %s, %v", p.last(), err)
	}
}

// Another user may not, even if the socket's mode let them. Only root can be
// another user for a moment, and test it.
func TestOtherUserMayNot(t *testing.T) {
	if os.Getuid() != 0 {
		return
	}
	server, socket, _ := serve(t, &plant{}, admin.NewLog())
	defer shutdown(t, server)
	for dir := filepath.Dir(socket); dir != filepath.Clean(os.TempDir()) && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(socket, 0o666); err != nil {
		t.Fatal(err)
	}
	answer, err := askAsNobody(socket)
	if err != nil || !strings.HasPrefix(answer, "HTTP/1.1 403 ") || !strings.Contains(answer, "user 65534 may not") {
		t.Errorf("answered %q, %v", answer, err)
	}
}

// askAsNobody asks for the plugins on a thread that is of another user.
func askAsNobody(socket string) (answer string, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		fd, e := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
		if err = e; err != nil {
			return
		}
		defer syscall.Close(fd)
		const keep = ^uintptr(0)
		if _, _, failed := syscall.RawSyscall(syscall.SYS_SETRESUID, keep, 65534, keep); failed != 0 {
			err = failed
			return
		}
		if err = syscall.Connect(fd, &syscall.SockaddrUnix{Name: socket}); err != nil {
			return
		}
		if _, err = syscall.Write(fd, fmt.Append(nil, "GET /admin/plugins HTTP/1.1\r\nHost: rtd\r\nConnection: close\r\n\r\n")); err != nil {
			return
		}
		for buffer := make([]byte, 4096); ; {
			n, e := syscall.Read(fd, buffer)
			if err = e; n <= 0 || err != nil {
				return
			}
			answer += string(buffer[:n])
		}
	}()
	<-done
	return answer, err
}
