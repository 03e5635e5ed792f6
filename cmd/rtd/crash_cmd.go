package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"rtd/host/config"
	"rtd/host/crashes"
)

func crashCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "crash",
		Short: "Show crash reports, and what was set aside",
		Long: `rtd keeps a report of each kind of crash in a folder: see [crashes] of the config
file. list and show read that folder; no server has to run. Reports may contain
what clients sent. rtd replay runs one again.

A message or timer at which a durable actor crashes twice is set aside: the server keeps
it with the actor, and list shows it. When the plugin is mended, retry has the actor try
it again, and drop throws it away.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(crashListCommand(), crashShowCommand(), crashRetryCommand(), crashDropCommand())
	return cmd
}

func crashListCommand() *cobra.Command {
	var r reports
	var server adminFlags
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the crash reports, the last crash first, and what was set aside",
		Long: `rtd crash list lists the crash reports, the last crash first; and below them the messages
and timers that were set aside, the oldest first, if the server runs.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, _, err := r.find()
			if err != nil {
				return err
			}
			all, err := crashes.List(dir)
			if len(all) > 0 {
				err = errors.Join(crashes.WriteList(cmd.OutOrStdout(), all), err)
			} else if err == nil {
				fmt.Fprintln(cmd.ErrOrStderr(), "no crash reports in", dir)
			}
			if r.dir != "" {
				return err // of some other server, perhaps
			}
			server.config, server.plugins = r.server.config, r.server.plugins
			return errors.Join(err, listAsides(cmd, &server, len(all) > 0))
		},
	}
	r.flags(cmd)
	server.addTarget(cmd)
	return cmd
}

func crashShowCommand() *cobra.Command {
	var r reports
	cmd := &cobra.Command{
		Use:   "show ID|FILE",
		Short: "Print a crash report",
		Long: `rtd crash show prints a crash report. ID is as in rtd crash list, or its first
digits; FILE is the report itself, which is JSON. The memory that it names lies
beside it, packed by gzip.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			report, _, err := r.read(args[0])
			if err != nil {
				return err
			}
			return report.Write(cmd.OutOrStdout())
		},
	}
	r.flags(cmd)
	return cmd
}

// reports say where crash reports are.
type reports struct {
	server flags // as the server was started
	dir    string
}

func (r *reports) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&r.dir, "dir", "", "`folder` of crash reports (overrides crashes.dir)")
	cmd.Flags().StringVar(&r.server.config, "config", "", "config `file` of the server (default config.toml, which may be absent)")
	cmd.Flags().StringVar(&r.server.plugins, "plugins", "", "`folder` of plugins (overrides plugins.dir)")
}

// find returns the folder and the server's config.
func (r *reports) find() (dir string, c *config.Config, err error) {
	file := r.server.config
	if file == "" {
		file = defaultConfig
	}
	c, err = r.server.load(file)
	if r.server.config == "" && errors.Is(err, fs.ErrNotExist) {
		c, err = r.server.override(config.Default()), nil
	}
	if err != nil {
		return "", nil, err
	}
	if dir = r.dir; dir == "" {
		dir = crashes.Dir(c.Crashes.Dir, c.Plugins.Dir)
	}
	if dir == "" {
		return "", nil, errors.New("no crash reports are kept; set dir in [crashes] of config.toml, or say where they are with --dir")
	}
	return dir, c, nil
}

// read returns the report that an argument names.
func (r *reports) read(name string) (*crashes.Report, *config.Config, error) {
	dir, c, err := r.find()
	if err != nil {
		return nil, nil, err
	}
	if strings.ContainsRune(name, filepath.Separator) || filepath.Ext(name) != "" {
		report, err := crashes.ReadFile(name)
		return report, c, err
	}
	report, err := crashes.Read(dir, name)
	return report, c, err
}
