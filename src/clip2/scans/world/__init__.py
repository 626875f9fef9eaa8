"""The built-in world: procedurally generated driving scenes in the nuScenes v1.0 format (see ``stage.run``)."""
