package rollout_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"rtd/host/durable"
	"rtd/host/release"
)

var record = flag.String("record", "", "write what is kept of a version, and a state, to a folder of this name in testdata/kept")

// goldenSettings are those under which the versions of testdata/kept ran. They must stay what they are: a snapshot is
// found by its config.
func goldenSettings(s *release.Settings) {
	s.Config, s.Limits.Memory = orders(wantsExport, worker("a")), 32<<20
}

// goldenState is a state, besides the versions folder that it needs, after three questions.
type goldenState struct {
	Use   durable.Use
	State []byte
}

// An upgrade of rtd loses nothing: what each earlier format has of a version, its snapshot and a state is read. The version is
// in the list, begins with the snapshot that it had, and the state goes on; also if another version has come since.
func TestEarlierFormatsAreRead(t *testing.T) {
	if *record != "" {
		recordGolden(t, filepath.Join("testdata", "kept", *record))
	}
	folders, err := filepath.Glob("testdata/kept/*")
	must(t, err)
	if len(folders) == 0 {
		t.Fatal("there are none")
	}
	for _, folder := range folders {
		for version, name := range map[int]string{1: "the same version", 2: "another"} {
			t.Run(filepath.Base(folder)+"/"+name, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				must(t, os.CopyFS(dir, os.DirFS(filepath.Join(folder, "versions"))))
				text, err := os.ReadFile(filepath.Join(folder, "state.json"))
				must(t, err)
				var golden goldenState
				must(t, json.Unmarshal(text, &golden))

				a := newArchive(t, dir)
				a.settings = goldenSettings
				all, err := a.store.List("p")
				if err != nil || len(all) != 1 || all[0].Hash != golden.Use.Version || all[0].By != "ada" {
					t.Fatalf("versions %+v, %v", all, err)
				}
				if version == 1 {
					wasm, err := a.store.Get("p", golden.Use.Version) // the puppet of that day
					must(t, err)
					_, err = a.deployer.Deploy(t.Context(), "p", wasm, "ada")
					must(t, err)
					if use := a.set.App("p").Release().Use; use != golden.Use {
						t.Errorf("it begins with %+v, want %+v", use, golden.Use)
					}
					if files, err := filepath.Glob(filepath.Join(dir, "p", "snapshots", "*")); err != nil || len(files) != 1 {
						t.Errorf("snapshots %q, %v: its own was not read", files, err)
					}
				} else {
					a.run(version)
				}
				r, err := a.releaseOf(golden.Use)
				must(t, err)
				wantExport(t, r, golden.State, 3)
			})
		}
	}
}

func recordGolden(t *testing.T, folder string) {
	if _, err := os.Stat(folder); err == nil {
		t.Fatalf("%s is there already, and formats of the past do not change", folder)
	}
	a := newArchive(t, filepath.Join(folder, "versions"))
	a.settings = goldenSettings
	r := a.run(1)
	text, err := json.MarshalIndent(goldenState{r.Use, stateAfter(t, r, 3)}, "", "\t")
	must(t, err)
	must(t, os.WriteFile(filepath.Join(folder, "state.json"), append(text, '\n'), 0o644))
}
