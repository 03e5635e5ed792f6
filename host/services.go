package host

import (
	"errors"
	"time"

	"rtd/host/ask"
	"rtd/host/clock"
)

// provideServices starts what guests may ask, if config grants it to their plugin. They run until the plugins end.
func provideServices(to *ask.Services) error {
	return errors.Join(
		to.Provide(clock.Service(time.Now)),
	)
}
