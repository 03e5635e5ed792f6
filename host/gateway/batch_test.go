package gateway

import (
	"testing"
	"time"

	"rtd/host/config"
)

// However small the batches of a drain are to be, the last of them closes within half of
// the grace period.
func TestDrainBatchesFitTheGrace(t *testing.T) {
	for _, test := range []struct {
		connections, batch int
		interval, grace    time.Duration
		want               int
	}{
		{0, 1, time.Second, 4 * time.Second, 1},
		{30, 1, time.Second, 4 * time.Second, 10},
		{30, 20, time.Second, 4 * time.Second, 20},
		{31, 1, time.Second, 4 * time.Second, 11},
		{1_000_000, 10_000, 2 * time.Second, 10 * time.Second, 333_334},
		{30, 1, 0, 4 * time.Second, 30},
		{30, 1, time.Second, 0, 30},
		{30, 1, time.Minute, time.Second, 30},
	} {
		c := config.Default()
		c.Server.DrainBatch, c.Server.DrainInterval, c.Server.Grace = test.batch, test.interval, test.grace
		size := (&Gateway{config: c}).batchSize(test.connections)
		if size != test.want {
			t.Errorf("%+v: %d at a time", test, size)
		}
		if waits := max(0, (test.connections-1)/size); time.Duration(waits)*test.interval > test.grace/2 {
			t.Errorf("%+v: the last after %d intervals", test, waits)
		}
	}
}
