package host_test

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"rtd/host/hosttest"
)

// A change of the config is seen by what the file holds, however it came: with the size and time
// of the old one, in place or by a link to a volume that is swapped.
func TestConfigOfTheSameSizeAndTime(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"echo": echoGuest(t)}, Config: "[plugin.echo]\nmax_rate = 20\n"})
	before, err := os.Stat(s.File)
	must(t, err)
	dir := filepath.Dir(s.File)
	as := func(path string, n int) {
		t.Helper()
		must(t, os.WriteFile(path, fmt.Appendf(nil, "[plugin.echo]\nmax_rate = %d\n", n), 0o644))
		must(t, os.Chtimes(path, before.ModTime(), before.ModTime()))
	}
	volume := func(n int) {
		t.Helper()
		must(t, os.Mkdir(filepath.Join(dir, fmt.Sprint(n)), 0o755))
		as(filepath.Join(dir, fmt.Sprint(n), "rtd.toml"), n)
		must(t, os.Symlink(fmt.Sprint(n), filepath.Join(dir, "..new")))
		must(t, os.Rename(filepath.Join(dir, "..new"), filepath.Join(dir, "..data")))
	}
	reloads := 0.0
	for _, change := range []struct {
		how string
		do  func()
	}{
		{"in place", func() { as(s.File, 21) }},
		{"by rename", func() { as(s.File+".new", 22); must(t, os.Rename(s.File+".new", s.File)) }},
		{"to a link", func() {
			volume(23)
			must(t, os.Symlink(filepath.Join("..data", "rtd.toml"), s.File+".new"))
			must(t, os.Rename(s.File+".new", s.File))
		}},
		{"of what a link leads to", func() { volume(24) }},
	} {
		change.do()
		reloads++
		hosttest.Eventually(t, "reload of a change "+change.how, func() bool { return s.Metric(t, "rtd_config_reloads_total") == reloads })
	}
}

// A renewed certificate is shown to those who connect from then on; one that is no good
// changes nothing, and is told once.
func TestRenewedCertificate(t *testing.T) {
	t.Parallel()
	cert, key, _ := selfSigned(t)
	s := launch(t, hosttest.Setup{Config: fmt.Sprintf("[server]\ntls_cert = %q\ntls_key = %q\n[admin]\nlisten = \"127.0.0.1:0\"\nkeys = [%q]\n", cert, key, apiKey)})
	serial := func() string {
		c, err := tls.Dial("tcp", s.URL[len("https://"):], &tls.Config{InsecureSkipVerify: true})
		must(t, err)
		defer c.Close()
		return string(c.ConnectionState().PeerCertificates[0].Signature)
	}
	first := serial()
	newCert, newKey, _ := selfSigned(t)
	must(t, os.Rename(newCert, cert))
	s.Log.Wait(t, "new certificate not taken over, the old one stays; write a good one to tls_cert and tls_key", "cause", "private key does not match")
	if serial() != first {
		t.Error("half a renewal was taken over")
	}
	must(t, os.Rename(newKey, key))
	s.Log.Wait(t, "new certificate taken over")
	if serial() == first {
		t.Error("the old one is shown")
	}
	second := serial()
	must(t, os.WriteFile(cert, []byte("nonsense"), 0o644))
	s.Log.Wait(t, "new certificate not taken over, the old one stays; write a good one to tls_cert and tls_key", "cause", "failed to find any PEM data")
	if serial() != second {
		t.Error("the one before is not shown any more")
	}
}
