package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"strings"
	"sync"
	"time"
)

// Lines that repeat themselves are logged once in a while.
const (
	onceIn   = 10 * time.Minute
	maxLines = 256
)

// meshLog takes what the embedded server of a mesh logs. It implements server.Logger.
type meshLog struct {
	log *slog.Logger

	mu   sync.Mutex
	died error // why it has not started
	said map[string]time.Time
}

func newMeshLog(log *slog.Logger) *meshLog { return &meshLog{log: log, said: map[string]time.Time{}} }

// of is how the server says whom a line is about.
var of = regexp.MustCompile(`^(\S+) - \w+:\d+ - `)

func (l *meshLog) Debugf(string, ...any) {}
func (l *meshLog) Tracef(string, ...any) {}

const otherCluster = "node refused: it is of another cluster"

// Noticef is for those who look into NATS.
func (l *meshLog) Noticef(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	switch {
	case strings.Contains(text, "Slow Consumer"):
		l.tell(slog.LevelWarn, "node does not take its messages, they are dropped", text)
	case strings.Contains(text, "Cluster Name Conflict"):
		l.tell(slog.LevelWarn, otherCluster, text)
	default:
		l.log.Debug("nats: " + text)
	}
}

// Warnf logs a warning.
func (l *meshLog) Warnf(format string, v ...any) { l.Errorf(format, v...) }

// Errorf logs what is wrong with a connection to another node: nothing else is wrong with such a server.
func (l *meshLog) Errorf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	_, handshake, refused := strings.Cut(text, "TLS route handshake error: ")
	switch {
	case strings.Contains(text, "Error flushing"): // a connection that ended
		l.log.Debug("nats: " + text)
	case strings.Contains(text, "insecure"): // of hosts' names, which routes do not have
	case refused && strings.Contains(handshake, "remote error"):
		l.tell(slog.LevelWarn, "node refuses this one: it has another secret, other certificates, or another name of the cluster", text)
	case refused && strings.Contains(handshake, "EOF"), refused && strings.Contains(handshake, "reset by peer"):
		l.tell(slog.LevelInfo, "connection for nodes ended before it began", text)
	case refused:
		l.tell(slog.LevelWarn, "node refused: it has another secret, other certificates, or another name of the cluster", text)
	case strings.Contains(text, "does not match"):
		l.tell(slog.LevelWarn, otherCluster, text)
	case strings.Contains(text, "cluster name from remote server conflicts"): // the same once more
	case strings.HasPrefix(text, "Error trying to connect to route"):
		l.tell(slog.LevelInfo, "node does not answer; it is tried again", text)
	default:
		l.tell(slog.LevelWarn, "nats", text)
	}
}

// tell logs a line once in a while for each host.
func (l *meshLog) tell(level slog.Level, what, text string) {
	peer := ""
	if found := of.FindStringSubmatch(text); found != nil {
		peer, text = found[1], text[len(found[0]):]
	}
	host, _, err := net.SplitHostPort(peer)
	if err != nil {
		host = peer
	}
	key, now := what+host+digitless(text), time.Now()
	if level == slog.LevelWarn && what != "nats" {
		key = what + host // whatever its words
	}
	l.mu.Lock()
	last, again := l.said[key]
	if again = again && now.Sub(last) < onceIn; !again {
		if len(l.said) >= maxLines {
			clear(l.said)
		}
		l.said[key] = now
	}
	l.mu.Unlock()
	if again {
		return
	}
	if peer != "" {
		l.log.Log(context.Background(), level, "mesh: "+what, "peer", peer, "cause", text)
		return
	}
	l.log.Log(context.Background(), level, "mesh: "+what, "cause", text)
}

// Fatalf takes why the server cannot start. It would end the process elsewhere. That it has no listener for clients is as it should be.
func (l *meshLog) Fatalf(format string, v ...any) {
	if strings.HasPrefix(format, "Error listening on port") {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.died == nil {
		l.died = errors.New(fmt.Sprintf(format, v...))
	}
}

func (l *meshLog) fatal() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.died
}

// begin says that the server is about to start.
func (l *meshLog) begin() {
	l.mu.Lock()
	l.died = nil
	l.mu.Unlock()
}
