package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"rtd/cmd/rtd/author"
	"rtd/host"
	"rtd/host/config"
)

func devCommand() *cobra.Command {
	var configFile, listen string
	cmd := &cobra.Command{
		Use:   "dev [DIR]",
		Short: "Serve a plugin, and build and deploy it whenever its sources change",
		Long: `rtd dev builds the plugin in DIR and serves it, on the machine alone unless the config
says otherwise. When a source is saved, it is built again and takes over, while
clients stay connected. What compilers say, and the server's log, are printed here.
A version that does not build changes nothing. Plugins that it depends on are taken
from DIR/test, as NAME.wasm. Ctrl-C ends all of it.

The server's folder of plugins is DIR/.rtd/dev, for rtd ps, logs, crash and the like.`,
		Example: `  rtd dev room
  rtd ps --plugins room/.rtd/dev   # from another terminal`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: folders,
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := author.Open(folderOf(args))
			if err != nil {
				return err
			}
			return dev(cmd.Context(), p, flags{config: configFile, listen: listen}, cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "", "`address` to listen on, as host:port (overrides server.listen)")
	configFlag(cmd, &configFile)
	return cmd
}

// devGrace is how long the end of rtd dev may take.
const devGrace = time.Second

// dev serves until ctx ends. The server watches a folder of its own, into which each build is put.
func dev(ctx context.Context, p *author.Project, f flags, terminal io.Writer) error {
	f.plugins = filepath.Join(p.Dir, ".rtd", "dev")
	if err := prepare(f.plugins, filepath.Join(p.Dir, "test")); err != nil {
		return err
	}
	load := func(string) (*config.Config, error) {
		c, err := p.Config(f.config)
		if err != nil {
			return nil, err
		}
		c.Plugins.Build, c.Server.Grace = false, min(c.Server.Grace, devGrace)
		return f.override(c), nil
	}
	// Also if it is not there yet: what it grants takes effect when it is written.
	file := cmp.Or(f.config, filepath.Join(p.Dir, author.ConfigFile))
	c, err := load(file)
	if err != nil {
		return err
	}
	out := openLog(terminal, c.Log) // what compilers say is in it
	defer out.Close(lastLines)
	server, err := host.New(host.Options{Config: c, ConfigFile: file, Reload: load, Awaits: []string{p.Name}, Log: slog.New(out.Handler()), LinesLost: out.Lost})
	if err != nil {
		return err
	}
	if err := server.Listen(); err != nil {
		return err
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	page := server.URL()
	if p.Name != "room" {
		page += "?prefix=" + p.Name
	}
	fmt.Fprintf(out, "serving %s at %s, and watching %s; Ctrl-C ends\n", p.Name, page, p.Dir)
	var watching sync.WaitGroup
	watching.Go(func() {
		p.Watch(ctx, func(ctx context.Context) {
			if err := rebuild(ctx, p.Dir, f, out); err != nil {
				server.Deploys().NotBuilt(p.Name, p.Dir, err)
			}
		})
	})
	err = server.Serve(ctx)
	end()
	watching.Wait()
	return err
}

// rebuild puts a new version into the server's folder, or says why there is none. The project and its config are
// read anew: they may have changed.
func rebuild(ctx context.Context, dir string, f flags, out io.Writer) error {
	built, err := buildInto(ctx, dir, f, out)
	if err == nil {
		err = tellBuilt(out, built)
	}
	if err != nil && ctx.Err() == nil {
		fmt.Fprintln(out, "not built:", err)
	}
	return err
}

func buildInto(ctx context.Context, dir string, f flags, out io.Writer) (*author.Built, error) {
	p, err := author.Open(dir)
	if err != nil {
		return nil, err
	}
	c, err := p.Config(f.config)
	if err != nil {
		return nil, err
	}
	return p.Build(ctx, author.BuildOptions{Out: filepath.Join(f.plugins, p.Name+".wasm"), Config: c, Messages: out})
}

// prepare makes a folder of plugins with those that are taken from another one, and no more.
func prepare(dir, from string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the folder of plugins: %w", err)
	}
	old, err := inFolder(dir, ".wasm")
	for _, file := range old {
		err = errors.Join(err, os.Remove(file))
	}
	modules, err2 := companions(from)
	err = errors.Join(err, err2)
	for name, wasm := range modules {
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name+".wasm"), wasm, 0o644)
		}
	}
	return err
}
