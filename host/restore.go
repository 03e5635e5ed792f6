package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"rtd/host/backup"
	"rtd/host/bus"
	"rtd/host/config"
	"rtd/host/durable/store"
)

// busPatience is how long Restore waits for the bus.
const busPatience = 10 * time.Second

// Restore puts a backup into the bus and the versions folder of a config, of which nothing may be stored yet. No server of
// that config runs meanwhile. After an error nothing of it is left in folders that it has made or found empty; a bus elsewhere may have parts
// of it, which no server takes for a whole: remove its store and log, and begin again.
func Restore(ctx context.Context, c *config.Config, file string, log *slog.Logger) (made time.Time, err error) {
	saved, err := backup.Open(file)
	if err != nil {
		return made, err
	}
	defer saved.Close()
	dir := versionsDir(c.Plugins)
	if dir == "" {
		return made, errors.New("states cannot be resumed without the versions that wrote them, and there is no folder for those: set versions in [plugins] of config.toml")
	}
	o, err := busOptions(c, log)
	if err != nil {
		return made, fmt.Errorf("bus: %w", err)
	}
	clean := func() error { return nil }
	if o.Dir != "" {
		if clean, err = emptyFolder(o.Dir); err != nil {
			return made, fmt.Errorf("bus: %w", err)
		}
	}
	b, err := bus.Open(o)
	if err != nil {
		return made, fmt.Errorf("bus: %w", err)
	}
	ours := false
	defer func() {
		failed := err != nil
		if err = errors.Join(err, b.Close()); failed && ours {
			err = errors.Join(err, clean())
		}
	}()
	up, cancel := context.WithTimeout(ctx, busPatience)
	defer cancel()
	if err := b.Up(up); err != nil {
		return made, fmt.Errorf("the bus does not work, or a server uses it: %w", err)
	}
	ours = true
	undo, err := saved.Versions(dir)
	if err != nil {
		return made, fmt.Errorf("restore versions: %w", err)
	}
	from, to := io.Pipe()
	go func() { to.CloseWithError(saved.States(to)) }()
	err = store.Restore(ctx, b, "", from)
	from.CloseWithError(errors.Join(err, io.ErrClosedPipe)) // the other end does not wait
	if err != nil {
		undo()
		return made, fmt.Errorf("restore states: %w", err)
	}
	return saved.Made, nil
}

// emptyFolder makes a folder if it is not there. clean removes what has come into it since, if it was empty, and the folder if it was not there.
func emptyFolder(dir string) (clean func() error, err error) {
	there, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return func() error { return os.RemoveAll(dir) }, os.MkdirAll(dir, 0o700)
	case err != nil || len(there) > 0:
		return func() error { return nil }, err
	}
	return func() error { return errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700)) }, nil
}
