// compose-check loads a Compose file as `docker compose` would, with the variables of this process's own environment
// and no .env file, and prints the resolved services as JSON. A file that cannot be used ends it with 1 and the reason.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

func main() {
	services, err := load(os.Args[1:])
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(services)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func load(files []string) (types.Services, error) {
	options, err := cli.NewProjectOptions(files, cli.WithOsEnv, cli.WithName("headwater"))
	if err != nil {
		return nil, err
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		return nil, err
	}
	return project.Services, nil
}
