"""The drawn drive: a road, its traffic and its light, painted pixel by pixel from a seed.

    road, noise      where the road runs; value noise for every texture
    look             one drive's colours, light, camera and road plan, drawn from a seed
    scene            what stands beside the road, who drives on it, where the camera is at a time
    ground, sky, props, cars, bonnet    the painters, each one numba kernel per material
    painter          one frame: rays, painters, labels, shutter
    film, clip       the sensor; the contract's one clip, its choreography and encoding
    dataset, bursts  random pairs with labels, and bursts of moved cameras, to train on
    augment, training, workers, build
                     the two frozen networks, and the whole contract from its seed

World axes: x right, y up, z forward, metres. Camera axes: x right, y down, z forward. Road coordinates: s along the
reference line, d to its right. Colours are linear light until the sensor.
"""
