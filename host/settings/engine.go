package settings

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"rtd/host/config"
	"rtd/sandbox"
)

// Engine is for an engine that compiles modules, and keeps what it has compiled, as a server with this config
// does. A cache folder that cannot be had is told to log.
func Engine(c *config.Config, log *slog.Logger) sandbox.Options {
	o := sandbox.Options{
		CacheDir: c.Plugins.Cache, Compiler: sandbox.Compiler(),
		CompileTime: c.Plugins.CompileTime, CompileMemory: c.Plugins.CompileMemory, Log: log,
	}
	if o.CompileTime == 0 {
		o.CompileTime = -1 // no limit, as the key says
	}
	if o.CacheDir != "" {
		return o
	}
	user, err := os.UserCacheDir()
	if err == nil && !filepath.IsAbs(user) { // there would be one in each folder
		err = fmt.Errorf("%s is not absolute", user)
	}
	if err != nil {
		log.Warn("no cache folder, plugins are compiled at every start: HOME names none; set cache in [plugins] of config.toml", "cause", err)
		return o
	}
	o.CacheDir, o.CacheOptional = filepath.Join(user, "rtd"), true
	return o
}
