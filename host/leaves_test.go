package host_test

import (
	"path/filepath"
	"testing"

	"rtd/host/hosttest"
	"rtd/sandbox/sandboxtest"
)

// TestLeaves has many members of a durable topic go at a time. That costs no commit for each, and is remembered.
func TestLeaves(t *testing.T) {
	setup := hosttest.Setup{
		Plugins: map[string][]byte{"ledger": sandboxtest.BuildGo(t, "rtd/host/testdata/ledger")},
		Config:  "[plugin.ledger]\ndurable = [\"ledger:*\"]\ndurable_idle = \"1h\"\n",
	}
	s := hosttest.Start(t, setup)
	const members, topic = 50, "ledger:0"
	clients := s.ConnectAll(t, members, topic, "{}")
	stays := s.Connect(t)
	stays.MustJoin(t, topic, "{}")
	stored := func() float64 { return s.Metric(t, "rtd_durable_commits_total", `result="stored"`) }
	before := stored()
	for _, c := range clients {
		c.Close()
	}
	asked := 0
	hosttest.Eventually(t, "the members have gone", func() bool {
		asked++
		reply, err := stays.Call(topic, "left", "{}")
		return err == nil && string(reply.Payload) == `{"n":50}`
	})
	if n := stored() - before; n != float64(asked) {
		t.Errorf("%d leaves and %d other events cost %v commits", members, asked, n)
	}
	stays.Close()
	setup.Dir = filepath.Dir(s.Dir)
	s.Stop(t)

	s = hosttest.Start(t, setup)
	again := s.Connect(t)
	again.MustJoin(t, topic, "{}")
	again.WantReply(t, topic, "left", "{}", `ok {"n":51}`)
}
