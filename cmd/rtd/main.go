// Rtd is a real-time platform that is scripted in WebAssembly: it serves
// Phoenix Channels whose handlers are plugins. See rtd -h.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"rtd/cmd/rtd/signals"
	"rtd/host"
	"rtd/host/config"
	"rtd/host/logs"
	"rtd/sandbox"
)

func main() {
	sandbox.CompilerMain() // which this process may be, of another one
	ctx, drain := context.WithCancel(context.Background())
	go func() {
		<-signals.Ends()
		drain()
		<-signals.Ends()
		lastWord("rtd: second signal, exiting at once")
		os.Exit(1)
	}()
	root := command()
	root.PersistentPreRun = func(cmd *cobra.Command, _ []string) {
		if cmd != root { // a server reads its config again
			signals.HangupEnds()
		}
	}
	began := noteRuns(root)
	if err := root.ExecuteContext(ctx); err != nil {
		lastWord(fmt.Sprint("rtd: ", err))
		os.Exit(exitCode(err, *began))
	}
}

// lastWord says why the process ends, which does not wait for a reader that has
// stalled.
func lastWord(text string) {
	said := make(chan struct{})
	go func() {
		defer close(said)
		fmt.Fprintln(os.Stderr, text)
	}()
	select {
	case <-said:
	case <-time.After(lastWords):
	}
}

// flags override keys of the config file.
type flags struct{ config, listen, plugins, node, clusterListen string }

func command() *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "rtd",
		Short: "Serve Phoenix Channels whose handlers are WebAssembly plugins",
		Long: `rtd serves real-time channels to Phoenix clients. The handlers are plugins:
WebAssembly modules in a folder, each join in an isolated instance of its own,
restarted by a supervisor when it crashes and replaced, while clients stay
connected, when its file changes.

  ws://ADDRESS/socket   for Phoenix clients, or the paths of the config file
  http://ADDRESS/       a chat page to try it
  /healthz /readyz      for probes
  /metrics              for Prometheus

On SIGTERM or Ctrl-C rtd finishes what it has accepted, asks its clients, batch
by batch, to reconnect (close code 1012) and exits with 0; a second signal exits
at once. The log, on standard error, holds up neither: lines that nobody reads are dropped
and counted.
On SIGHUP it reads the config file again, and starts plugins that have failed or were
refused.

A plugin begins with rtd new, and rtd dev shows it at work. Exit codes of all commands:
0, 1 if it failed, 2 if it was called wrongly.`,
		Example: `  rtd                                   with config.toml, if there is one
  rtd --listen :8080 --plugins ./dist   overriding it
  rtd --config /etc/rtd/config.toml`,
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return f.serve(cmd.Context(), cmd.ErrOrStderr()) },
	}
	cmd.Flags().StringVar(&f.config, "config", "", "config `file` (default config.toml, which may be absent)")
	cmd.Flags().StringVar(&f.listen, "listen", "", "`address` to listen on, as host:port (overrides server.listen)")
	cmd.Flags().StringVar(&f.plugins, "plugins", "", "`folder` of plugins (overrides plugins.dir)")
	cmd.Flags().StringVar(&f.node, "node", "", "`name` of this node of a cluster (overrides cluster.node)")
	cmd.Flags().StringVar(&f.clusterListen, "cluster-listen", "", "`address` for the other nodes, as host:port (overrides cluster.listen)")
	cmd.AddCommand(newCommand(), devCommand(), buildCommand(), testCommand(), checkCommand())
	cmd.AddCommand(deployCommand(), rollbackCommand(), pluginsCommand(), psCommand(), logsCommand(), nodesCommand(), busCommand(), stateCommand(), historyCommand(), backupCommand(), restoreCommand())
	cmd.AddCommand(connectCommand(), benchCommand(), crashCommand(), replayCommand())
	return cmd
}

const defaultConfig = "config.toml"

func (f flags) serve(ctx context.Context, out io.Writer) error {
	file := f.config
	if file == "" {
		file = defaultConfig
	}
	c, err := f.load(file)
	if f.config == "" && errors.Is(err, fs.ErrNotExist) {
		c, err = f.override(config.Default()), nil
	}
	if err != nil {
		return err
	}
	log := openLog(out, c.Log)
	defer log.Close(lastLines)
	server, err := host.New(host.Options{Config: c, ConfigFile: file, Reload: f.load, Log: slog.New(log.Handler()), LinesLost: log.Lost})
	if err != nil {
		return err
	}
	if err := server.Listen(); err != nil {
		return err
	}
	served, end := context.WithCancel(ctx)
	defer end()
	go func() {
		for {
			select {
			case <-signals.Hangups():
				server.Reload(served)
			case <-served.Done():
				return
			}
		}
	}()
	return server.Serve(ctx)
}

func (f flags) load(file string) (*config.Config, error) {
	c, err := config.Load(file)
	if err != nil {
		return nil, err
	}
	return f.override(c), nil
}

func (f flags) override(c *config.Config) *config.Config {
	if f.listen != "" {
		c.Server.Listen = f.listen
	}
	if f.plugins != "" {
		c.Plugins.Dir = f.plugins
	}
	if f.node != "" {
		c.Cluster.Node = f.node
	}
	if f.clusterListen != "" {
		c.Cluster.Listen = f.clusterListen
	}
	return c
}

// How long the end of the process may wait for those who read what it says: for the
// log that is queued, and for a last word.
const (
	lastLines = time.Second
	lastWords = 200 * time.Millisecond
)

// openLog begins the log of a server. From now on nobody who reads it can stop the
// process, nor by going away end it: Go would take a write to a standard error without
// a reader for the end, as it is for commands. Close the log at the end.
func openLog(out io.Writer, c config.Log) *logs.Sink {
	// Told of, the signal does nothing. To ignore it would be inherited by compilers.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		panic(err) // config has checked it
	}
	return logs.Open(out, logs.Options{JSON: c.Format == "json", Level: level})
}
