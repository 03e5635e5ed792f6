package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"rtd/host"
	"rtd/host/backup"
	"rtd/host/config"
)

func backupCommand() *cobra.Command {
	var server adminFlags
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write all that a server remembers to a file, while it works",
		Long: `rtd backup writes what is stored of durable actors, and the versions of their plugins, to
FILE. The server goes on meanwhile: each actor is in it as of one moment, with the messages
that wait for it. FILE holds what plugins hold, and their configs: keep it like them. It
must not exist yet.

rtd restore puts it into the folders of a server that has nothing stored yet.` + whichServer,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := os.Lstat(args[0]); err == nil {
				return fmt.Errorf("%s exists; name a new file", args[0])
			}
			c, err := server.connect()
			if err != nil {
				return err
			}
			out, err := os.CreateTemp(filepath.Dir(args[0]), filepath.Base(args[0])+".part*")
			if err != nil {
				return err
			}
			defer os.Remove(out.Name()) // unless it has got its name
			err = c.Backup(cmd.Context(), out)
			if err = errors.Join(err, out.Sync(), out.Close()); err != nil {
				return err
			}
			whole, err := backup.Open(out.Name())
			if err != nil {
				return fmt.Errorf("the backup has not come as a whole; see the server's log: %w", err)
			}
			whole.Close()
			if err := os.Rename(out.Name(), args[0]); err != nil {
				return err
			}
			info, err := os.Stat(args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s, %s\n", args[0], shortBytes(info.Size()))
			return err
		},
	}
	server.add(cmd)
	return cmd
}

func restoreCommand() *cobra.Command {
	var file, plugins string
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Put a backup into the folders of a server that does not run",
		Long: `rtd restore puts what rtd backup has written into the bus and the versions folder of a
config. Nothing may be stored there yet, and no server may run with it. Plugins and
config.toml are not part of a backup: put them into place as well, and start the server.
If it fails, what it has made is removed again.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := file
			if name == "" {
				name = defaultConfig
			}
			c, err := config.Load(name)
			if file == "" && errors.Is(err, fs.ErrNotExist) {
				c, err = config.Default(), nil
			}
			if err != nil {
				return err
			}
			if plugins != "" {
				c.Plugins.Dir = plugins
			}
			made, err := host.Restore(cmd.Context(), c, args[0], slog.New(slog.NewTextHandler(io.Discard, nil)))
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "restored what was stored at %s; start the server\n", made.Local().Format(time.DateTime))
			return err
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "config `file` of the server (default config.toml, which may be absent)")
	cmd.Flags().StringVar(&plugins, "plugins", "", "`folder` of plugins, if the server is given one")
	return cmd
}
