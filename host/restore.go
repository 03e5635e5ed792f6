package host

import (
	"context"
	"errors"
	"fmt"
	"io"
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
// that config runs meanwhile. After an error the bus may have parts of it, which no server takes for a whole: remove its folder, and
// begin again.
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
	if o.Dir != "" {
		if err := os.MkdirAll(o.Dir, 0o700); err != nil {
			return made, fmt.Errorf("bus: %w", err)
		}
	}
	b, err := bus.Open(o)
	if err != nil {
		return made, fmt.Errorf("bus: %w", err)
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	up, cancel := context.WithTimeout(ctx, busPatience)
	defer cancel()
	if err := b.Up(up); err != nil {
		return made, fmt.Errorf("the bus does not work, or a server uses it: %w", err)
	}
	if err := saved.Versions(dir); err != nil {
		return made, fmt.Errorf("restore versions: %w", err)
	}
	from, to := io.Pipe()
	go func() { to.CloseWithError(saved.States(to)) }()
	err = store.Restore(ctx, b, "", from)
	from.CloseWithError(errors.Join(err, io.ErrClosedPipe)) // the other end does not wait
	if err != nil {
		return made, fmt.Errorf("restore states: %w", err)
	}
	return saved.Made, nil
}
