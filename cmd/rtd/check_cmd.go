package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"rtd/cmd/rtd/author"
	"rtd/cmd/rtd/check"
	"rtd/host/folder"
)

func checkCommand() *cobra.Command {
	var o check.Options
	var configFile, name, join, payload string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check FILE.wasm",
		Short: "Say what a server would say to a plugin, and what it costs",
		Long: `rtd check deploys a plugin as a server would, without one, and prints its manifest,
imports and exports, its size, what its memory is after start, whether idle actors can
hibernate, and what one of them takes after a join.

Of a plugin with durable actors it says how many bytes are stored with an event: of
processes with init, of a topic with a join, and of 200 pushes if --event says what to push;
if the handler crashes at one; and which processes are declared durable that nobody has seen.

The exit code is 1 if a server with this config would refuse it. If it asks for more
than it is granted, the lines of config.toml that are missing are printed.`,
		Example: `  rtd check room/room.wasm
  rtd check room.wasm --config /etc/rtd/config.toml --json
  rtd check room.wasm --join '{"user":"ada"}'
  rtd check board.wasm --event add --payload '{"text":"hello"}'`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: modules,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !json.Valid([]byte(join)) {
				return usageError{fmt.Errorf("--join is no JSON: %s", join)}
			}
			if !json.Valid([]byte(payload)) {
				return usageError{fmt.Errorf("--payload is no JSON: %s", payload)}
			}
			var err error
			if o.WASM, err = moduleIn(args[0]); err != nil {
				return err
			}
			if o.Config, err = author.LoadConfig(configFile, filepath.Dir(args[0])); err != nil {
				return err
			}
			if o.Name = name; name == "" {
				o.Name = pluginName(args[0])
			}
			o.Join, o.Payload = []byte(join), []byte(payload)
			report, err := check.Run(cmd.Context(), o)
			if err != nil {
				return err
			}
			if asJSON {
				var text []byte
				if text, err = report.JSON(); err == nil {
					_, err = cmd.OutOrStdout().Write(text)
				}
			} else {
				err = report.Write(cmd.OutOrStdout())
			}
			if err == nil && report.Refused != "" {
				err = errors.New("a server would refuse it: " + report.Refused)
			}
			return err
		},
	}
	f := cmd.Flags()
	f.BoolVar(&asJSON, "json", false, "print JSON")
	f.StringVar(&name, "name", "", "`name` of the plugin (default that of its file)")
	f.StringVar(&o.Topic, "topic", "", "`topic` or pattern to join for the cost of an idle actor (default its own)")
	f.StringVar(&join, "join", `{"user":"ada"}`, "`JSON` payload of that join")
	f.StringVar(&o.Event, "event", "", "`event` to push to a durable topic")
	f.StringVar(&payload, "payload", "{}", "`JSON` payload of that event")
	configFlag(cmd, &configFile)
	return cmd
}

// pluginName is what a server calls the plugin in a file.
func pluginName(file string) string { return strings.TrimSuffix(filepath.Base(file), ".wasm") }

// moduleIn reads a file that is not larger than a server takes.
func moduleIn(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("read module: %w", err)
	}
	if info.IsDir() {
		return nil, fmt.Errorf("%s is a folder: build it with rtd build %s, and name the .wasm", file, file)
	}
	if info.Size() > folder.MaxFileSize {
		return nil, fmt.Errorf("%s has %d bytes; a plugin may have %d", file, info.Size(), folder.MaxFileSize)
	}
	return os.ReadFile(file)
}
