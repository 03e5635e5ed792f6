package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rtd/host/admin"
)

func deployCommand() *cobra.Command {
	var server adminFlags
	var name string
	cmd := &cobra.Command{
		Use:   "deploy FILE.wasm",
		Short: "Make a module the current version of a plugin, new or not",
		Long: `rtd deploy hands a module to a running server, which compiles and tries it, and
makes it the current version: clients stay connected, and channels move over. If the
module is no good the old version runs on, and the error says why.

It is kept in the server's plugin folder, so that a restart finds it. The version it
replaces is kept too: rtd rollback brings it back.` + whichServer,
		Example: `  rtd deploy chat.wasm
  rtd deploy target/wasm32-unknown-unknown/release/room.wasm --name chat`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if name == "" {
				name = strings.TrimSuffix(filepath.Base(args[0]), ".wasm")
			}
			wasm, err := readModule(args[0])
			if err != nil {
				return err
			}
			c, err := server.connect()
			if err != nil {
				return err
			}
			start := time.Now()
			d, err := c.Deploy(cmd.Context(), name, wasm)
			if err != nil {
				return err
			}
			if d.Unchanged {
				fmt.Fprintf(cmd.OutOrStdout(), "%s: version %s runs already\n", name, d.Version)
				return nil
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: version %s runs, after %v\n", name, d.Version, time.Since(start).Round(time.Millisecond))
			return nil
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "`name` of the plugin (default: that of the file)")
	server.add(cmd)
	return cmd
}

func readModule(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("read module: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > admin.MaxModule {
		return nil, fmt.Errorf("read module: %s is not a file of at most %d bytes", file, admin.MaxModule)
	}
	return os.ReadFile(file)
}
