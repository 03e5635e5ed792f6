package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"rtd/host/config"
	"rtd/host/crashes"
	"rtd/host/names"
	"rtd/host/process"
	"rtd/host/settings"
	"rtd/host/versions"
)

func replayCommand() *cobra.Command {
	var r reports
	var wasm string
	cmd := &cobra.Command{
		Use:   "replay ID|FILE",
		Short: "Run the messages of a crash report again",
		Long: `rtd replay gives a new guest the messages of a crash report, in a sandbox like the
server's, and says whether it crashes in the same way. The guest is alone: calls to
other processes find nobody, and it hears nothing of clients but those messages.

It runs the version that crashed, if the server has kept it, else what lies in its
plugin folder; or the file that --plugin names, so that a fix can be tried before it is
deployed. Limits and config are those of the plugin's table.

The exit code is 0 if the guest lives, 1 if it crashes, in this way or another.`,
		Example: `  rtd replay 3f2a91c0de
  rtd replay 3f2a --plugin build/chat.wasm`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			report, c, err := r.read(args[0])
			if err != nil {
				return err
			}
			module, err := moduleOf(report, wasm, c)
			if err != nil {
				return err
			}
			table := c.Plugin(report.Plugin)
			outcome, err := report.Replay(cmd.Context(), crashes.Setting{
				WASM: module, Config: table.ConfigJSON(), Engine: settings.Engine(c, slog.Default()),
				Memory: table.Memory, Deadline: table.Deadline, Fault: process.FaultOf,
			})
			if err != nil {
				return err
			}
			if err := outcome.Write(cmd.OutOrStdout()); err != nil {
				return err
			}
			return verdict(cmd, report, outcome)
		},
	}
	r.flags(cmd)
	cmd.Flags().StringVar(&wasm, "plugin", "", "`file` of the version to run (default the one that crashed)")
	return cmd
}

// moduleOf reads a file, or if none is named the version that crashed, or else that of
// the plugin folder.
func moduleOf(r *crashes.Report, file string, c *config.Config) ([]byte, error) {
	if file == "" {
		if names.Check(r.Plugin) != nil {
			return nil, fmt.Errorf("read plugin: %.80q is no name of one; name its file with --plugin", r.Plugin)
		}
		if wasm := keptVersion(r, c); wasm != nil {
			return wasm, nil
		}
		file = filepath.Join(c.Plugins.Dir, r.Plugin+".wasm")
	}
	wasm, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read plugin: %w; name its file with --plugin", err)
	}
	return wasm, nil
}

// keptVersion returns the version that crashed, or nil.
func keptVersion(r *crashes.Report, c *config.Config) []byte {
	dir := c.Plugins.Versions
	switch dir {
	case "":
		return nil
	case "auto":
		dir = filepath.Join(c.Plugins.Dir, ".rtd", "versions")
	}
	store := versions.Open(dir, versions.Options{ReadOnly: true})
	v, err := store.Find(r.Plugin, r.Version)
	if err != nil {
		return nil // the file in the folder will do, and the verdict names its version
	}
	wasm, err := store.Get(r.Plugin, v.Hash)
	if err != nil {
		return nil
	}
	return wasm
}

// verdict says what the replay shows. A crash is an error.
func verdict(cmd *cobra.Command, r *crashes.Report, o *crashes.Outcome) error {
	version := "version " + o.Version
	if o.Version == r.Version {
		version += ", the one that crashed,"
	} else {
		version += ", not the " + r.Version + " that crashed,"
	}
	switch {
	case o.Trap == nil:
		fmt.Fprintf(cmd.OutOrStdout(), "%s %s does not crash\n", r.Plugin, version)
		return nil
	case o.Same:
		return fmt.Errorf("%s %s crashes in the same way", r.Plugin, version)
	}
	return fmt.Errorf("%s %s crashes, but not in the same way: the report says %s in %s", r.Plugin, version, r.Cause, r.Event)
}
