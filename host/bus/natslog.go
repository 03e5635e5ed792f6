package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
)

// natsLog takes what the embedded server logs. It implements server.Logger.
type natsLog struct {
	log     *slog.Logger
	worried func()

	mu      sync.Mutex
	works   bool   // it has started
	died    error  // why it has not
	warning string // the last one: it repeats itself
}

// Noticef, Debugf and Tracef are for those who look into NATS.
func (l *natsLog) Noticef(format string, v ...any) { l.log.Debug("nats: " + fmt.Sprintf(format, v...)) }
func (l *natsLog) Debugf(string, ...any)           {}
func (l *natsLog) Tracef(string, ...any)           {}

// Warnf logs a warning, once if it repeats itself. While the server starts it says how it reads what was not written to its end, which
// is as it should be; what is damaged is found by others.
func (l *natsLog) Warnf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	l.mu.Lock()
	again, level := l.warning == text, slog.LevelDebug
	if l.works {
		level = slog.LevelWarn
	}
	l.warning = text
	l.mu.Unlock()
	if !again {
		l.log.Log(context.Background(), level, "nats: "+text)
	}
}

// Errorf logs a warning, and has the bus looked at: such as a disk that is full.
func (l *natsLog) Errorf(format string, v ...any) {
	l.Warnf(format, v...)
	l.mu.Lock()
	works := l.works
	l.mu.Unlock()
	if works {
		l.worried()
	}
}

// Fatalf takes why the server cannot start. It would end the process elsewhere.
func (l *natsLog) Fatalf(format string, v ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.died == nil {
		l.died = errors.New(fmt.Sprintf(format, v...))
	}
}

func (l *natsLog) fatal() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.died
}

// up says that the server has started.
func (l *natsLog) up() {
	l.mu.Lock()
	l.works = true
	l.mu.Unlock()
}
